/** `colloquy discussions list|show|replay` and `colloquy turns prompt`, as a person types them. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { NewEvent } from '../../domain/envelope.ts';
import { startServiceForTests, type TestService } from '../api/serviceForTests.ts';
import { expected, logOf, shown, talkingDiscussion, UNKNOWN } from '../api/serviceScenes.ts';
import { suite } from '../harness.ts';
import { environmentWith } from '../services.ts';
import { colloquyOn, type Ran } from './colloquyCommand.ts';

const test = suite('replay on the command line');
let on: TestService;
let id: string;

test.before(async () => {
  on = await startServiceForTests();
  ({ id } = await talkingDiscussion(on, 2));
  await shown(on, `/discussions/${id}`, (body) => body['status'] === 'concluded');
});
test.after(async () => {
  await on.stop();
});

const colloquy = (...args: string[]) => colloquyOn(on, args);

test(
  'a replay shows who was asked and why, each attempt, what was said and the end',
  async () => {
    const { code, out, err } = await colloquy('discussions', 'replay', id, '--speed', '0');
    assert.is(code, 0, err);
    for (const sign of [/# Tea/, /Ada joins/, /turn 1 of Ada: round-robin, /, /attempt 1 by .*: offline\/offline/])
      assert.match(out, sign);
    assert.match(out, /Bea: \S+/);
    assert.match(out, /concluded: max-turns/);
    const events = await logOf(on, id);
    assert.match(err, new RegExp(`revision ${events.length - 1}, ${events.length} events shown, state [0-9a-f]{64}`));
    const lines = (await colloquy('discussions', 'replay', id, '--speed', '0', '--json')).out.trim().split('\n');
    const parsed = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.equal(parsed.slice(0, -1), events);
    assert.match(err, String(parsed.at(-1)?.['stateHash']));
    const part = await colloquy('discussions', 'replay', id, '--speed', '0', '--to', '0');
    assert.is(part.out.trim().split('\n').length, 2);
    const claimed = events.findIndex(({ type }) => type === 'TurnClaimed');
    const later = await colloquy('discussions', 'replay', id, '--speed', '0', '--from', String(claimed));
    assert.match(later.out, /^\S+ +\d+ +attempt 1 by /);
    assert.match(later.out, /Ada: \S+/);
    assert.not.match(later.out, /somebody|turn \?/, 'who joined before is known');
  },
  { deadlineMs: 120_000 },
);

test(
  'a discussion as it was, and lists',
  async () => {
    const then = await colloquy('discussions', 'show', id, '--at-revision', '2', '--json');
    const body = expected(await on.get(`/discussions/${id}?atRevision=2`), 200);
    assert.equal([then.code, JSON.parse(then.out)], [0, body]);
    assert.match((await colloquy('discussions', 'list')).out, new RegExp(`${id}  concluded`));
    assert.is((await colloquy('discussions', 'show', id, '--at-revision', '999')).code, 3);
    assert.is((await colloquy('discussions', 'replay', UNKNOWN)).code, 3);
    assert.is((await colloquy('discussions', 'replay', id, '--speed', 'fast')).code, 2);
  },
  { deadlineMs: 120_000 },
);

test(
  'a prompt is shown with its hash; one that does not match the log ends with code 8',
  async () => {
    const { store } = on.service.running.storage;
    const copy = randomUUID();
    const events: NewEvent[] = [];
    let turnId = '';
    for await (const { type, schemaVersion, data, metadata } of store.read(`discussion-${id}`)) {
      if (type === 'TurnClaimed' && turnId === '') ({ turnId } = data as { turnId: string });
      const text = JSON.stringify(data).replace('Tea or coffee?', 'Coffee or tea?');
      events.push({ id: randomUUID(), type, schemaVersion, data: JSON.parse(text) as unknown, metadata });
    }
    await store.append(`discussion-${copy}`, events, -1);
    const good = await colloquy('turns', 'prompt', id, turnId);
    assert.is(good.code, 0, good.err);
    assert.match(good.out, /^--- system\nYou take part[\s\S]*Tea or coffee\?[\s\S]*--- user/);
    assert.match(good.err, /round-robin[\s\S]*as recorded before the model was asked/);
    const bad = await colloquy('turns', 'prompt', copy, turnId, '--json');
    assert.is(bad.code, 8, bad.err);
    assert.is((JSON.parse(bad.out) as { matches: boolean }).matches, false);
    assert.match(bad.err, /was recorded/);
    assert.is((await colloquy('turns', 'prompt', id, turnId, '--attempt', '7')).code, 3);
  },
  { deadlineMs: 120_000 },
);

test(
  'the commands of docs/replay.md run as they stand there',
  async () => {
    const root = join(import.meta.dirname, '..', '..');
    const text = await readFile(join(root, 'docs', 'replay.md'), 'utf8');
    const lines = [...text.matchAll(/```bash\n([\s\S]*?)```/g)].flatMap(([, block]) =>
      (block ?? '').trim().split('\n'),
    );
    assert.is(lines.length, 7);
    const claim = (await logOf(on, id)).find(({ type }) => type === 'TurnClaimed');
    const env = environmentWith({
      ...{ COLLOQUY_URL: on.url, COLLOQUY_TOKEN: on.service.token, URL: on.url, TOKEN: on.service.token, ID: id },
      TURN: (claim?.['data'] as { turnId: string }).turnId,
    });
    const script = `colloquy() { '${process.execPath}' scripts/colloquy.mjs "$@"; }\n${lines.join('\n')}`;
    const { code, out, err } = await new Promise<Ran>((resolve) => {
      execFile('bash', ['-euo', 'pipefail', '-c', script], { cwd: root, env, timeout: 110_000 }, (error, out, err) =>
        resolve({ code: error === null ? 0 : 1, out, err }),
      );
    });
    assert.is(code, 0, err);
    for (const sign of [/revision +5\n/, /"matches":true/, /concluded: max-turns/, /"events":5/])
      assert.match(out, sign);
  },
  { deadlineMs: 120_000 },
);

test.run();
