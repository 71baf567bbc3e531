/** `colloquy discussions fork|lineage|diff`, as a person types them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { startServiceForTests, type TestService } from '../api/serviceForTests.ts';
import { expected, quietDiscussion } from '../api/serviceScenes.ts';
import { suite } from '../harness.ts';
import { colloquyOn } from './colloquyCommand.ts';

const test = suite('forks on the command line');
let on: TestService;
let folder: string;

test.before(async () => {
  on = await startServiceForTests();
  folder = await mkdtemp(join(tmpdir(), 'colloquy-forks-'));
});
test.after(async () => {
  await on.stop();
  await rm(folder, { recursive: true, force: true });
});

const colloquy = (...args: string[]) => colloquyOn(on, args);

test(
  'a fork is made with what it has otherwise, and is found and compared; past the end is a conflict',
  async () => {
    const { id } = await quietDiscussion(on, { policy: { kind: 'manual' } });
    const overrides = join(folder, 'overrides.json');
    await writeFile(overrides, JSON.stringify({ limits: { maxTurns: 7 } }));
    const made = await colloquy(
      ...['discussions', 'fork', id, '--at-revision', '2', '--title', 'Other', '--overrides', overrides, '--json'],
    );
    assert.is(made.code, 0, made.err);
    const fork = JSON.parse(made.out) as { id: string; status: string };
    assert.is(fork.status, 'open');
    expected(await on.post(`/discussions/${fork.id}/messages`, { content: 'Cocoa?' }), 201);
    await on.service.running.reads.waitFor(await on.service.running.storage.store.head(), ['discussions', 'messages'], {
      timeoutMs: 10_000,
      signal: new AbortController().signal,
    });
    const lineage = await colloquy('discussions', 'lineage', id);
    assert.match(lineage.out, new RegExp(`child +${fork.id} +2 +Other`), lineage.err);
    const diff = await colloquy('discussions', 'diff', id, fork.id);
    assert.match(diff.out, /"maxTurns":50/, diff.err);
    assert.match(diff.out, /there +- +\S+ +Cocoa\?/);
    const past = await colloquy('discussions', 'fork', id, '--at-revision', '99');
    assert.is(past.code, 4, past.err);
    assert.match(past.err, /ends at revision 2/);
    assert.is((await colloquy('discussions', 'fork', id, '--at-revision', 'x')).code, 2);
  },
  { deadlineMs: 180_000 },
);

test.run();
