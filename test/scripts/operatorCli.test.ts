/** The operators' commands against a real service: what they print, and the exit code of each kind of refusal. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import * as assert from 'uvu/assert';
import { createProgram } from '../../scripts/cli.ts';
import { reportFailure } from '../../scripts/cli/exitCodes.ts';
import { startServiceForTests, type TestService } from '../api/serviceForTests.ts';
import { logOf, parkedDiscussion, quietDiscussion, turnIn, UNKNOWN } from '../api/serviceScenes.ts';
import { suite } from '../harness.ts';
import { changeEnvironment } from '../services.ts';

const NOBODY = 'http://127.0.0.1:1';

const test = suite('operator commands');
let on: TestService;
let folder: string;
test.before(async () => {
  on = await startServiceForTests();
  folder = await mkdtemp(join(tmpdir(), 'colloquy-cli-'));
});
test.after(async () => {
  await on.stop();
  await rm(folder, { recursive: true, force: true });
});

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly errors: string;
}

/** Runs a command in this process, on the service unless told. */
async function run(args: readonly string[], environment: Record<string, string> = {}): Promise<Ran> {
  const env = { COLLOQUY_URL: on.url, COLLOQUY_TOKEN: on.service.token, COLLOQUY_DATA: folder, ...environment };
  const { stdout, stderr } = process;
  const [writeOut, writeErrors, log] = [stdout.write.bind(stdout), stderr.write.bind(stderr), console.error];
  let [out, errors] = ['', ''];
  const into = (add: (text: string) => void) => (chunk: string | Uint8Array) => {
    add(String(chunk));
    return true;
  };
  const restore = changeEnvironment(env);
  process.stdout.write = into((text) => (out += text));
  process.stderr.write = into((text) => (errors += text));
  console.error = (...parts: unknown[]) => void (errors += `${parts.join(' ')}\n`);
  let code = 0;
  try {
    await createProgram().parseAsync(['node', 'colloquy', ...args]);
  } catch (error) {
    code = reportFailure(error);
  } finally {
    process.stdout.write = writeOut;
    process.stderr.write = writeErrors;
    console.error = log;
    restore();
  }
  return { code, out, errors };
}

const leaves = (command: Command, path: readonly string[] = []): { path: readonly string[]; command: Command }[] =>
  command.commands.length === 0
    ? [{ path, command }]
    : command.commands.flatMap((each) => leaves(each, [...path, each.name()]));

/** What runs until it is stopped, or prints something of its own. */
const WITHOUT_JSON = ['start', 'api', 'worker', 'demo', 'token', 'completion', 'import'];

test('every command explains itself, knows --json, and turns down what it does not know', async () => {
  const all = leaves(createProgram());
  assert.ok(all.length >= 20, `${all.length} commands`);
  for (const { path, command } of all) {
    const help = await run([...path, '--help']);
    assert.equal([help.code, help.errors], [0, ''], path.join(' '));
    assert.match(help.out, /^Usage: colloquy/);
    assert.ok(command.description() !== '', `${path.join(' ')} says what it does`);
    if (!WITHOUT_JSON.includes(path[0] ?? '')) assert.match(help.out, /--json/, path.join(' '));
    const wrong = await run([...path, '--no-such-option']);
    assert.equal([wrong.code, wrong.out], [2, ''], path.join(' '));
  }
  assert.match((await run(['--help'])).out, /Exit codes: 0 ok, 1 failure, 2 usage, 3 not found/);
});

test('exit codes: 2 usage, 3 not found, 4 conflict, 5 auth, 9 unhealthy', async () => {
  const solved = await parkedDiscussion(on, (await quietDiscussion(on)).id);
  assert.is((await run(['dead-letters', 'retry', solved])).code, 0);
  const token = await on.mint({ kind: 'user', id: 'eve', grants: [{ project: '*', role: 'viewer' }] });
  const rows: readonly [number, readonly string[], Record<string, string>?][] = [
    [2, ['turns', 'list', '--older-than', 'soon']],
    [2, ['turns', 'show', 'x', 'y']],
    [2, ['dead-letters', 'skip', solved]],
    [2, ['turns', 'list', '--limit', '0']],
    [2, ['projections', 'rebuild']],
    [2, ['projections', 'rebuild', 'usage', '--all-stale']],
    [2, ['projections', 'drop', 'usage']],
    [2, ['discussions', 'fork', UNKNOWN, '--at-revision', '1', '--overrides', join(folder, 'missing.json')]],
    [2, ['discussions', 'fork', UNKNOWN, '--at-revision', '1', '--overrides', import.meta.filename]],
    [2, ['events', 'export', '--out', join(folder, 'missing', 'log.ndjson')]],
    [3, ['turns', 'show', UNKNOWN, UNKNOWN]],
    [3, ['projections', 'drop', 'usage', '--version', '77']],
    [3, ['turns', 'cancel', UNKNOWN, UNKNOWN]],
    [3, ['dead-letters', 'show', UNKNOWN]],
    [3, ['dead-letters', 'skip', UNKNOWN, '--reason', 'x']],
    [3, ['operations', 'show', UNKNOWN]],
    [3, ['operations', 'wait', UNKNOWN]],
    [3, ['events', 'trace', UNKNOWN]],
    [3, ['turns', 'list'], { COLLOQUY_URL: '', COLLOQUY_TOKEN: '', DATABASE_URL: '' }],
    [4, ['dead-letters', 'retry', solved]],
    [4, ['projections', 'drop', 'usage', '--version', '1']],
    [4, ['projections', 'rollback', 'usage']],
    [4, ['dead-letters', 'skip', solved, '--reason', 'x']],
    [5, ['turns', 'list'], { COLLOQUY_TOKEN: 'wrong' }],
    [5, ['status'], { COLLOQUY_TOKEN: '' }],
    [5, ['dead-letters', 'retry', solved], { COLLOQUY_TOKEN: token }],
    [9, ['status'], { COLLOQUY_URL: '', COLLOQUY_TOKEN: '' }],
    [9, ['doctor'], { COLLOQUY_URL: 'http://127.0.0.1:9' }],
    [9, ['status'], { COLLOQUY_URL: NOBODY }],
    [1, ['projections', 'list'], { COLLOQUY_URL: NOBODY }],
  ];
  for (const [code, args, environment] of rows) {
    const ran = await run(args, environment);
    assert.is(ran.code, code, `${args.join(' ')}: ${ran.errors}`);
    assert.ok(ran.errors !== '', `${args.join(' ')} says why on stderr`);
    if (code !== 9) assert.is(ran.out, '', `${args.join(' ')} prints no data`);
    assert.not.match(ran.errors, /\n +at /, `${args.join(' ')} shows no stack`);
  }
});

test('dead letters: listed, shown masked, a dry run that changes nothing, skipped with a reason', async () => {
  const id = await parkedDiscussion(on, (await quietDiscussion(on)).id);
  const listed = await run(['dead-letters', 'list', '--status', 'waiting', '--json']);
  assert.equal(
    listed.out
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { id: string }).id),
    [id],
  );
  assert.match((await run(['dead-letters', 'list'])).out, /^id +projection +status/);
  assert.not.match((await run(['dead-letters', 'show', id])).out, /Tea or coffee/);
  assert.match((await run(['dead-letters', 'show', id, '--reveal'])).out, /Tea or coffee/);
  const dry = await run(['dead-letters', 'skip', id, '--reason', 'spoiled', '--dry-run', '--json']);
  assert.equal([dry.code, (JSON.parse(dry.out) as { would: string }).would], [0, 'skip']);
  assert.match((await run(['dead-letters', 'list', '--status', 'waiting'])).out, new RegExp(id));
  // Nobody can join what was never opened: the next event is the letter now.
  const skipped = await run(['dead-letters', 'skip', id, '--reason', 'spoiled']);
  assert.equal([skipped.code, /waits behind ParticipantJoined/.test(skipped.errors)], [7, true], skipped.errors);
  assert.match((await run(['dead-letters', 'list', '--status', 'skipped', '--json'])).out, /"reason":"spoiled"/);
});

test('turns: one whose worker is silent is stuck, with what to do; cancel tries first, then does', async () => {
  const opened = await quietDiscussion(on);
  const turnId = turnIn(opened);
  const { knex } = on.service.running.storage.database;
  const headers = { 'Consistency-Token': `p${await on.service.running.storage.store.head()}`, Prefer: 'wait=10' };
  await on.get(`/discussions/${opened.id}/turns`, { headers });
  const { rows } = await knex.raw<{ rows: { view: string }[] }>(
    `select viewname as view from pg_views where viewname ~ '^turns_claims_s[0-9]+$' order by 1 desc limit 1`,
  );
  await knex(rows[0]?.view ?? '').insert({
    ...{ key: `${turnId}/1`, turn_id: turnId, attempt: 1, discussion_id: opened.id, project: 'default' },
    ...{ worker: 'gone', incarnation: 'x', fence: 1, lease_ms: 1_000, reserved: 0 },
    claimed_at: new Date(Date.now() - 600_000).toISOString(),
  });
  const listed = await run(['turns', 'list', '--stuck', '--older-than', '5m', '--json']);
  const stuck = listed.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { turnId: string; stuck: { reason: string } });
  assert.equal(
    stuck.map((each) => [each.turnId, each.stuck.reason]),
    [[turnId, 'silent']],
  );
  assert.is((await run(['turns', 'list', '--stuck', '--older-than', '1h', '--json'])).out, '');
  const table = await run(['turns', 'list', '--stuck']);
  assert.match(table.out, /silent/);
  assert.match(table.errors, /silent: its worker gives no sign of life/);
  assert.match((await run(['doctor'])).out, /FAIL +turns +1 stuck\n +→ colloquy turns list --stuck/);

  assert.is((await run(['turns', 'cancel', opened.id, turnId, '--dry-run'])).code, 0);
  assert.match((await run(['turns', 'show', opened.id, turnId])).out, /status +requested/);
  assert.is((await run(['turns', 'cancel', opened.id, turnId])).code, 0);
  assert.is((await run(['turns', 'cancel', opened.id, turnId])).code, 4);
});

test('a dry run of what changes a read model shows it and changes nothing', async () => {
  const before = await on.get('/projections/usage');
  for (const args of [['pause'], ['resume'], ['rollback'], ['drop', '--version', '1']]) {
    const [verb = '', ...more] = args;
    const tried = await run(['projections', verb, 'usage', ...more, '--dry-run', '--json']);
    assert.is(tried.code, 0, tried.errors);
    assert.is((JSON.parse(tried.out) as { paused: boolean }).paused, false);
  }
  assert.equal((await on.get('/projections/usage')).body, before.body);
});

test('a doctor that reaches nobody says so, and what to do', async () => {
  const { out } = await run(['doctor'], { COLLOQUY_URL: NOBODY });
  assert.match(out, /service +nothing answers at http:\/\/127\.0\.0\.1:1/);
  assert.not.match(out, /answers at .*ok/);
});

test('status, traces and operations', async () => {
  const status = await run(['status']);
  assert.is(status.code, 0, status.errors);
  for (const part of [/^service +http/m, /^ready +yes/m, /^read model +events +seconds/m, /^messages +\d+ +\d/m])
    assert.match(status.out, part);
  const json = JSON.parse((await run(['status', '--json'])).out) as { ready: boolean; projections: unknown[] };
  assert.ok(json.ready && json.projections.length > 4);
  const { id } = await quietDiscussion(on);
  const [event] = await logOf(on, id);
  const trace = await run(['events', 'trace', String(event?.['id'])]);
  assert.match(trace.out, /asked +user:administrator +[0-9a-f-]{36} +DiscussionOpened@0/);
  assert.is((await run(['operations', 'list', '--json'])).out, '');
  const config = await run(['config', 'print', '--json']);
  assert.match(config.out, /"name":"COLLOQUY_TOKEN","value":"\(set\)","origin":"environment"/);
  assert.not.match(config.out, new RegExp(on.service.token.slice(-20)));
});

test('bash completes commands, subcommands and options', async () => {
  const { out } = await run(['completion', 'bash']);
  const file = join(folder, 'completion.bash');
  await writeFile(file, out);
  const complete = async (...words: readonly string[]): Promise<string[]> => {
    const script = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _colloquy; echo "\${COMPREPLY[*]}"`;
    const args = ['--norc', '-c', script, 'bash', file, 'colloquy', ...words];
    return (await promisify(execFile)('bash', args, { timeout: 10_000 })).stdout.trim().split(' ');
  };
  assert.equal(await complete('dead'), ['dead-letters']);
  assert.ok((await complete('pro')).includes('projections'));
  assert.equal(await complete('dead-letters', 'r'), ['retry']);
  assert.equal(await complete('dead-letters', 'skip', UNKNOWN, '--rea'), ['--reason']);
  assert.equal(await complete('turns', '--data', 'x', 'li'), ['list']);
  for (const shell of ['zsh', 'fish']) assert.match((await run(['completion', shell])).out, /dead-letters/);
  assert.is((await run(['completion', 'tcsh'])).code, 2);
});

test.run();
