/** Exports of a real service: proven offline, refused when a letter differs, imported to be looked at. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as assert from 'uvu/assert';
import { readSettings } from '../../infra/config.ts';
import { loadAuditKey } from '../../infra/auditKey.ts';
import { createLogger } from '../../infra/logging.ts';
import { importEvents } from '../../scripts/importEvents.ts';
import { openStorage } from '../../scripts/storage.ts';
import { main as verifyProgram } from '../../scripts/verify.ts';
import { startServiceForTests, type TestService } from '../api/serviceForTests.ts';
import { expected, quietDiscussion } from '../api/serviceScenes.ts';
import { aMessage, collect } from '../contracts/sampleEvents.ts';
import { suite } from '../harness.ts';

const test = suite('exports');
const run = promisify(execFile);
let on: TestService;
let folder: string;
let key: string;
let discussionId: string;

test.before(async () => {
  on = await startServiceForTests();
  folder = await mkdtemp(join(tmpdir(), 'colloquy-exports-'));
  discussionId = (await quietDiscussion(on)).id;
  await quietDiscussion(on);
  expected(await on.post(`/discussions/${discussionId}/messages`, { content: 'Grüße, 👩‍👩‍👧' }), 201);
  expected(await on.post('/audit/checkpoints'), 201);
  key = String(expected(await on.get('/audit/key'), 200)['publicKey']);
});
test.after(async () => {
  await on.stop();
  await rm(folder, { recursive: true, force: true });
});

async function exported(path: string, name: string): Promise<string> {
  const answer = await fetch(`${on.url}/api/v1${path}`, { headers: { Authorization: `Bearer ${on.service.token}` } });
  assert.is(answer.status, 200);
  assert.is(answer.headers.get('content-type'), 'application/x-ndjson');
  const file = join(folder, name);
  await writeFile(file, await answer.text());
  return file;
}

const quiet = (...given: string[]) => verifyProgram(given, () => undefined);
const verify = (file: string) => quiet(file, '--key', key);

test(
  'a discussion is proven, by the program itself too',
  async () => {
    const file = await exported(`/discussions/${discussionId}/export`, 'one.ndjson');
    assert.is(await verify(file), 0);
    const program = new URL('../../scripts/colloquyVerify.mjs', import.meta.url).pathname;
    const { stdout } = await run(process.execPath, [program, file, '--key', key], { timeout: 30_000 });
    assert.match(stdout, /^OK\n/);
  },
  { deadlineMs: 40_000 },
);

test('a range is proven, and what came after the checkpoint is not covered', async () => {
  const file = await exported('/events/export?from=2&to=5', 'range.ndjson');
  assert.is((await readFile(file, 'utf8')).split('\n').length, 1 + 4 + 2 + 1);
  assert.is(await verify(file), 0);
});

test(
  'any letter that differs, any line that is missing is found',
  async () => {
    const file = await exported(`/discussions/${discussionId}/export`, 'whole.ndjson');
    const text = await readFile(file, 'utf8');
    const lines = text.trimEnd().split('\n');
    const changed = join(folder, 'changed.ndjson');
    const verdictOf = async (given: string): Promise<number> => {
      await writeFile(changed, given);
      return verify(changed);
    };
    for (let line = 0; line < lines.length; line += 1)
      assert.is(await verdictOf(`${lines.filter((_, at) => at !== line).join('\n')}\n`), 8, `without line ${line}`);
    for (let at = 5; at < text.length; at += Math.floor(text.length / 40)) {
      const letter = text[at] === 'a' ? 'b' : 'a';
      assert.is(await verdictOf(`${text.slice(0, at)}${letter}${text.slice(at + 1)}`), 8, `letter ${at}`);
    }
    // Whoever changes an event and says that it was not covered.
    const dodged = text.replace(/"index":\d+,"previous":"[0-9a-f]+"/, '"index":null,"previous":null');
    assert.is(await verdictOf(dodged), 8);
  },
  { deadlineMs: 60_000 },
);

test('only a key that is trusted counts', async () => {
  const file = await exported(`/discussions/${discussionId}/export`, 'key.ndjson');
  const { publicKey } = await loadAuditKey({ dataDir: join(folder, 'other') });
  assert.is(await quiet(file, '--json', '--key', publicKey.toString('base64')), 8);
  assert.is(await quiet(file, '--json'), 0);
  assert.is((await stat(join(folder, 'other', 'audit.key'))).mode & 0o777, 0o600);
  assert.is(await quiet(join(folder, 'not there')), 2);
  assert.is(await quiet(file, '--key', 'nonsense'), 2);
});

test(
  'is imported event by event, and nothing can be written there',
  async () => {
    const file = await exported('/events/export?from=0', 'all.ndjson');
    const data = join(folder, 'imported');
    const imported = await importEvents(file, { data, key });
    assert.is(imported.trusted, true);
    const storage = await openStorage(readSettings({ COLLOQUY_DATA: data }, {}), createLogger('silent'));
    try {
      const there = await collect(storage.store.readStored(0n));
      const original = await collect(on.service.running.storage.store.readStored(0n, { limit: there.length }));
      assert.equal(there, original);
      const refusal = storage.store
        .append(`discussion-${discussionId}`, [aMessage()], 99)
        .then(() => 'accepted', String);
      assert.match(await refusal, /imported to be looked at/);
    } finally {
      await storage.close();
    }
    const again = await importEvents(file, { data, key }).then(() => 'imported', String);
    assert.match(again, /not empty/);
    const part = await importEvents(await exported('/events/export?from=5', 'part.ndjson'), {
      data: join(folder, 'part'),
    }).then(() => 'imported', String);
    assert.match(part, /does not begin with its first event/);
  },
  { deadlineMs: 90_000 },
);

test('an export of what is not there, not yours or beyond the end is refused', async () => {
  expected(await on.get('/events/export?from=9&to=3'), 400, 'invalid');
  expected(await on.get('/discussions/00000000-0000-4000-8000-000000000000/export'), 404, 'not-found');
  expected(await on.get('/audit/proof?position=999999'), 404, 'not-found');
  expected(await on.get('/audit/consistency?from=1&to=2'), 404, 'not-found');
});

test.run();
