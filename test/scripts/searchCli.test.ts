/** `colloquy search`, as a person types it, and the example of its document. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import * as assert from 'uvu/assert';
import { createProgram } from '../../scripts/cli.ts';
import { completionOf } from '../../scripts/cli/completion.ts';
import { shorten } from '../../scripts/cli/snippet.ts';
import { tokenFor } from '../api/apiForTests.ts';
import { startSearchScene, type SearchScene } from '../api/searchScene.ts';
import { startServiceForTests, type TestService } from '../api/serviceForTests.ts';
import { expected, quietDiscussion } from '../api/serviceScenes.ts';
import { suite } from '../harness.ts';
import { environmentWith } from '../services.ts';
import { colloquyOn } from './colloquyCommand.ts';

const test = suite('search on the command line');
let on: TestService;
let scene: SearchScene;
let id: string;

test.before(async () => {
  on = await startServiceForTests();
  scene = await startSearchScene(on);
  const participants = [{ userId: 'grace' }, { userId: 'administrator' }];
  id = (await quietDiscussion(on, { participants, context: { text: 'The Apache licence grants patents.' } })).id;
  const content = 'Which licence grants\u001b[31m patents?';
  expected(await on.post(`/discussions/${id}/messages`, { content }), 201);
  assert.is((await scene.found({ query: 'licence' })).data.length, 2);
});
test.after(async () => {
  await scene.stop();
  await on.stop();
});

const colloquy = (...args: string[]) =>
  colloquyOn({ ...on, url: scene.api.url, service: { ...on.service, token: tokenFor() } }, ['search', ...args]);

test(
  'what was found, a block each; nothing found; what is wrong; as JSON; narrowed',
  async () => {
    const all = await colloquy('which licence', '--mode', 'keyword');
    assert.is(all.code, 0, all.err);
    assert.match(
      all.out,
      new RegExp(`^\\d\\.\\d{4}  \\S+Z  document\n +discussion ${id}, revision 0\n +The Apache licence`, 'm'),
    );
    assert.match(all.out, /Z {2}person\n +discussion \S+, revision \d+\n +Which licence grants \[31m patents\?/);
    const json = await colloquy('licence', '--mode', 'keyword', '--kind', 'document', '--discussion', id, '--json');
    const lines = json.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { kind: string });
    assert.equal(
      lines.map(({ kind }) => kind),
      ['document'],
      json.err,
    );
    const none = await colloquy('licence', '--mode', 'keyword', '--to', '2001-01-01T00:00:00Z');
    assert.equal([none.code, none.out, none.err], [0, '', 'nothing found\n']);
    const wrong = await colloquy('licence', '--from', 'yesterday');
    assert.is(wrong.code, 2);
    assert.match(wrong.err, /\/from: /);
    assert.is((await colloquy('licence', '--mode', 'magic')).code, 2);
    assert.is((await colloquy('licence', '--limit', '101')).code, 2);
    assert.is((await colloquy('licence', '--discussion', '01890a5d-ac96-774b-bcce-b302099a8057')).code, 3);
  },
  { deadlineMs: 180_000 },
);

test('the example of its document is answered', async () => {
  const text = await readFile(new URL('../../docs/search.md', import.meta.url), 'utf8');
  const script = /```bash\n([\s\S]*?)```/.exec(text)?.[1] ?? '';
  const env = environmentWith({ URL: `${scene.api.url}/api/v1`, TOKEN: tokenFor() });
  const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', script], { env, timeout: 8_000 });
  const { data, mode } = JSON.parse(stdout) as { data: { kind: string }[]; mode: string };
  assert.equal([mode, data.map(({ kind }) => kind)], ['keyword', ['message']]);
});

test('shells complete its options', () => {
  assert.match(completionOf(createProgram(), 'bash'), /'search'\) words='[^']*--mode [^']*--discussion /);
});

test('a long snippet is cut around its first highlight, its ranges moved, no character cut in two', () => {
  const text = `${'🍵'.repeat(300)} oolong and oolong ${'🍵'.repeat(300)}`;
  const at = text.indexOf('oolong');
  const highlights = [
    [at, at + 6],
    [at + 11, at + 17],
  ] as const;
  for (const length of [79, 80, 81]) {
    const short = shorten({ text, highlights }, length);
    assert.ok(short.text.length <= length + 2 && short.text.isWellFormed(), short.text);
    assert.match(short.text, /^….*oolong and oolong.*…$/u);
    assert.equal(
      short.highlights.map(([from, to]) => short.text.slice(from, to)),
      ['oolong', 'oolong'],
    );
  }
  assert.match(shorten({ text, highlights: [] }, 80).text, /^🍵+…$/u);
  assert.match(shorten({ text: 'x'.repeat(100), highlights: [[99, 100]] }, 80).text, /^…x{80}$/);
  const brief = { text: 'oolong', highlights: [[0, 6]] as const };
  assert.equal(shorten(brief, 80), brief);
});

test.run();
