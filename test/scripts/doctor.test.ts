import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import * as assert from 'uvu/assert';
import { readSettings } from '../../infra/config.ts';
import { lockDataFolder } from '../../infra/dataLock.ts';
import { openDatabase } from '../../infra/database.ts';
import { migrate } from '../../infra/migrate.ts';
import { createRemote } from '../../scripts/remote.ts';
import { examine, type Check } from '../../scripts/doctor.ts';
import { checkDatabase } from '../../scripts/doctorDatabase.ts';
import { checkFolder, checkLock, checkNode } from '../../scripts/doctorHost.ts';
import { checkService } from '../../scripts/doctorService.ts';
import { startServiceForTests } from '../api/serviceForTests.ts';
import { parkedDiscussion, quietDiscussion } from '../api/serviceScenes.ts';
import { suite } from '../harness.ts';
import { changeEnvironment, postgresForTests, type TestDatabase } from '../services.ts';

const test = suite('doctor');
let folder: string;
let server: TestDatabase;
test.before.each(async () => void (folder = await mkdtemp(join(tmpdir(), 'colloquy-doctor-'))));
test.after.each(() => rm(folder, { recursive: true, force: true }));
test.before(async () => void (server = await postgresForTests()));
test.after(() => server.stop());

const settingsFor = (more: Record<string, string> = {}) => readSettings({ COLLOQUY_DATA: folder, ...more }, {});
const named = (checks: readonly Check[], name: string): Check => {
  const found = checks.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no check ${name}: ${checks.map((each) => each.name).join(', ')}`);
  return found;
};

test('an old Node.js, a missing folder, keys that others may read: each with what to do', async () => {
  assert.equal(
    ['18.20.0', '20.18.9', '20.19.0', '22.1.0'].map((version) => checkNode(version).status),
    ['fail', 'fail', 'ok', 'ok'],
  );
  assert.is((await checkFolder(settingsFor())).status, 'ok');
  await writeFile(join(folder, 'signing.key'), 'x', { mode: 0o600 });
  assert.is((await checkFolder(settingsFor())).status, 'ok');
  await chmod(join(folder, 'signing.key'), 0o644);
  const open = await checkFolder(settingsFor());
  assert.equal([open.status, open.next], ['fail', `chmod 600 ${join(folder, 'signing.key')}`]);
  const missing = await checkFolder(settingsFor({ COLLOQUY_DATA: join(folder, 'nowhere') }));
  assert.is(missing.status, 'fail');
});

test('a folder that somebody holds without answering', async () => {
  assert.is((await checkLock(settingsFor())).status, 'unknown');
  await writeFile(join(folder, 'pgdata'), '');
  assert.is((await checkLock(settingsFor())).status, 'ok');
  const lock = await lockDataFolder(folder);
  const held = await checkLock(settingsFor());
  assert.is(held.status, 'fail');
  assert.match(held.detail, new RegExp(`process ${process.pid}, which does not answer`));
  await lock.release();
  assert.is((await checkLock(settingsFor())).status, 'ok', 'the look itself holds nothing');
});

test('a database out of reach, without its tables, with those of a newer program, and a good one', async () => {
  const away = await checkDatabase(settingsFor({ DATABASE_URL: 'postgres://127.0.0.1:1/none' }));
  assert.equal([named(away, 'database').status, away.length], ['fail', 1]);
  const settings = settingsFor({ DATABASE_URL: server.url });
  const empty = named(await checkDatabase(settings), 'migrations');
  assert.equal([empty.status, /001_log/.test(empty.detail)], ['warn', true]);
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  const { rows } = await client.query<{ found: string | null }>(`select to_regclass('events')::text as found`);
  assert.is(rows[0]?.found, null, 'looking changes nothing');
  const database = openDatabase({
    connection: server.url,
    poolMax: 2,
    embedded: false,
    applicationName: 'doctor test',
  });
  await migrate(database.knex);
  await database.close();
  const good = await checkDatabase(settings);
  assert.equal(
    ['database', 'migrations', 'clock'].map((name) => named(good, name).status),
    ['ok', 'ok', 'ok'],
  );
  await client.query(`insert into knex_migrations (name, batch, migration_time) values ('999_later', 9, now())`);
  await client.end();
  assert.is(named(await checkDatabase(settings), 'migrations').status, 'fail');
});

test('settings that contradict each other end the look, and nothing else is blamed', async () => {
  const restore = changeEnvironment({ DATABASE_READ_URL: 'postgres://one/db', DATABASE_URL: undefined });
  const checks = await examine({ data: folder }).finally(restore);
  assert.equal([checks.length, named(checks, 'settings').status], [2, 'fail']);
});

test('a service that is well, and one with a dead letter', async () => {
  const on = await startServiceForTests();
  const reached = {
    remote: createRemote(on.url, on.service.token),
    url: on.url,
    settings: settingsFor(),
    running: true,
  };
  const well = await checkService(reached);
  assert.equal(
    well.filter(({ status }) => status === 'fail'),
    [],
  );
  assert.is(named(well, 'models').status, 'ok');
  await parkedDiscussion(on, (await quietDiscussion(on)).id);
  const letter = named(await checkService(reached), 'dead letters');
  assert.equal([letter.status, letter.next], ['fail', 'colloquy dead-letters list']);
  await on.stop();
});

test.run();
