/** The contract of the `ModelLibrary` port: every server that keeps models passes it. */
import * as assert from 'uvu/assert';
import type { ModelLibrary } from '../../domain/ports.ts';
import { Refusal } from '../../domain/refusal.ts';
import { suite } from '../harness.ts';

export interface ModelLibrarySubject {
  readonly library: ModelLibrary;
  readonly provider: string;
  /** A model that it holds and that can chat. */
  readonly modelName: string;
  readonly unknownName: string;
  /** Makes a model that may be removed, and gives its name. */
  readonly removable: () => Promise<string>;
  /** A library whose server is not there. */
  readonly nowhere: ModelLibrary;
  stop(): Promise<void> | void;
}

/** Runs the whole contract against what `make` gives. */
export function modelLibraryContract(name: string, make: () => Promise<ModelLibrarySubject>): void {
  const test = suite(`ModelLibrary: ${name}`);
  const slow = { deadlineMs: 60_000 };
  let made: ModelLibrarySubject | undefined;
  const given = (): ModelLibrarySubject => {
    if (!made) throw new Error('there is no subject');
    return made;
  };
  test.before(async () => {
    made = await make();
  });
  test.after(async () => await made?.stop());

  test(
    'a model that is listed is shown, as the same one',
    async () => {
      const { library, modelName, provider } = given();
      const listed = (await library.list()).find((model) => model.name === modelName);
      const shown = await library.show(modelName);
      assert.is(listed?.provider, provider);
      assert.is(shown.provider, provider);
      assert.is(shown.digest, listed?.digest);
      assert.ok((listed?.sizeBytes ?? 1) > 0);
      assert.ok(shown.contextTokens > 0 && shown.defaultContextTokens <= shown.contextTokens);
      assert.ok(shown.capabilities.length > 0);
    },
    slow,
  );

  test(
    'what runs is among what is listed',
    async () => {
      const { library } = given();
      const digests = new Set((await library.list()).map(({ digest }) => digest));
      for (const running of await library.running()) assert.ok(running.digest === null || digests.has(running.digest));
    },
    slow,
  );

  test(
    'a model that is removed is gone',
    async () => {
      const { library, removable } = given();
      const doomed = await removable();
      await library.show(doomed);
      await library.remove(doomed);
      assert.is((await refusalOf(library.show(doomed))).code, 'not-found');
      assert.is((await refusalOf(library.remove(doomed))).code, 'not-found');
    },
    slow,
  );

  test(
    'an unknown model is not-found',
    async () => {
      const { library, unknownName } = given();
      for (const work of [() => library.show(unknownName), () => library.remove(unknownName)]) {
        const refusal = await refusalOf(work());
        assert.equal([refusal.code, refusal.retryable], ['not-found', false]);
      }
    },
    slow,
  );

  test('a malformed name is invalid', async () => {
    const { library } = given();
    for (const work of [() => library.show('a b'), () => library.remove('../x'), () => pulled(library, '')])
      assert.is((await refusalOf(work())).code, 'invalid');
  });

  test(
    'a pull that fails rejects, also when it fails after it began',
    async () => {
      const { library, unknownName } = given();
      const refusal = await refusalOf(pulled(library, unknownName));
      assert.ok(['unavailable', 'not-found'].includes(refusal.code), refusal.code);
    },
    { deadlineMs: 70_000 },
  );

  test('a server that is not there is unavailable, with advice', async () => {
    const { nowhere } = given();
    for (const work of [
      () => nowhere.list(),
      () => nowhere.show('x'),
      () => nowhere.remove('x'),
      () => nowhere.running(),
      () => pulled(nowhere, 'x'),
    ]) {
      const refusal = await refusalOf(work());
      assert.equal([refusal.code, refusal.retryable], ['unavailable', true]);
      assert.match(refusal.message, /start/);
    }
  });

  test.run();
}

/** The refusal that work must end with, its message fit to be shown. */
export async function refusalOf(work: Promise<unknown>): Promise<Refusal> {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Refusal)) throw new Error(`not refused: ${String(error)}`);
  assert.not.match(
    error.message,
    /\/\w+\/|https?:|sha256|\d+\.\d+\.\d+/,
    'a message shows no path, registry or address',
  );
  return error;
}

/** The whole progress of a pull. */
export async function pulled(from: ModelLibrary, name: string, signal = new AbortController().signal) {
  const progress: { status: string; done: number; total: number }[] = [];
  for await (const step of from.pull(name, { signal })) progress.push(step);
  return progress;
}
