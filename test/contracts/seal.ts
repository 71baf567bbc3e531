/** What every adapter of the Seal port answers. */
import * as assert from 'uvu/assert';
import type { Seal, SealedText } from '../../domain/ports.ts';
import { suite } from '../harness.ts';

const texts: SealedText[] = ['first', '', 'Grüße, 世界 👩‍🚀', 'line\nline\t"quoted" \\', 'first', 'x'.repeat(50_000)].map(
  (text, i) => ({ stream: `discussion-${i % 2}`, project: i < 3 ? 'default' : 'other', text }),
);

/** Registers and runs the suite. */
export function sealContract(name: string, seal: Seal): void {
  const test = suite(`seal: ${name}`);

  test('opens to what was sealed, as many texts as were given, in their order', async () => {
    const sealed = await seal.seal(texts);
    assert.is(sealed.length, texts.length);
    const opened = await seal.open(texts.map((each, i) => ({ ...each, text: sealed[i] ?? '' })));
    assert.equal(
      opened,
      texts.map(({ text }) => text),
    );
  });

  test('what is sealed is text that the log can hold', async () => {
    for (const text of await seal.seal(texts)) assert.ok(text.isWellFormed() && !text.includes('\u0000'));
  });

  test('texts of different streams are opened together, and no texts give none', async () => {
    assert.equal(await seal.seal([]), []);
    assert.equal(await seal.open([]), []);
    const [one] = await seal.seal(texts.slice(2, 3));
    assert.equal(await seal.open([{ stream: 'discussion-0', project: 'default', text: one ?? '' }]), [texts[2]?.text]);
  });
  test.run();
}
