/** `colloquy projections …` as an operator uses it, beside a service that is killed in the middle of a rebuild. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pino from 'pino';
import * as assert from 'uvu/assert';
import { readSettings } from '../../infra/config.ts';
import { openStorage } from '../../scripts/storage.ts';
import { appendAll, history } from '../projections/events.ts';
import { suite } from '../harness.ts';
import { environmentWith, postgresForTests } from '../services.ts';
import { killStarted, startProcess } from './startProcess.ts';

const test = suite('colloquy projections');
test.after(killStarted);

/** Runs a command to its end. */
async function colloquy(dataDir: string, env: Record<string, string>, ...args: string[]) {
  const child = spawn(process.execPath, ['scripts/colloquy.mjs', ...args], {
    cwd: join(import.meta.dirname, '..', '..'),
    env: environmentWith({ DATABASE_URL: '', OLLAMA_URL: 'http://127.0.0.1:9', COLLOQUY_DATA: dataDir, ...env }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => void (said.out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => void (said.err += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { ...said, code };
}

async function fill(dataDir: string, env: Record<string, string>): Promise<void> {
  const storage = await openStorage(readSettings({ COLLOQUY_DATA: dataDir, ...env }), pino({ level: 'silent' }));
  for (let seed = 0; seed < 4; seed += 1)
    await appendAll(storage.store, history({ seed: 200 + seed, discussions: 20, batches: 250 }));
  await storage.close();
}

interface View {
  readonly version: number;
  readonly position: string;
  readonly building: { readonly version: number; readonly position: string; readonly running: boolean } | null;
}

for (const where of ['the embedded database', 'PostgreSQL'] as const)
  test(
    `on ${where}: a rebuild goes on after kill -9, by itself, where it was; then diff, rollback and a damaged table`,
    async () => {
      const dataDir = await mkdtemp(join(tmpdir(), 'colloquy-rebuild-'));
      const server = where === 'PostgreSQL' ? await postgresForTests() : null;
      const env: Record<string, string> = server === null ? {} : { DATABASE_URL: server.url };
      await fill(dataDir, env);
      let service = startProcess(dataDir, { env });
      await service.url();
      const view = async () => (await service.api('GET', '/projections/commands')) as View;
      await service.api('POST', '/projections/commands/rebuild', {});
      while (Number((await view()).building?.position ?? 0) === 0) await delay(20);
      await service.end('SIGKILL');
      service = startProcess(dataDir, { env });
      const left = (await view()).building;
      assert.is(left?.version, 2);
      assert.ok(Number(left?.position) > 0, 'not begun anew');
      while ((await view()).version !== 2) await delay(200);

      const equal = await colloquy(dataDir, env, 'projections', 'diff', 'commands', '--json');
      assert.is(equal.code, 0, equal.err);
      assert.is((JSON.parse(equal.out) as { equal: boolean }).equal, true);
      const list = await colloquy(dataDir, env, 'projections', 'list');
      assert.match(list.out, /commands\s+2\s+live/);
      const back = await colloquy(dataDir, env, 'projections', 'rollback', 'commands');
      assert.is(back.code, 0, back.err);
      assert.is((await view()).version, 1);
      const rebuilt = await colloquy(dataDir, env, 'projections', 'rebuild', 'usage', 'agents', '--fast');
      assert.is(rebuilt.code, 0, rebuilt.err);
      assert.match(rebuilt.out, /usage\s+2\s+1/);
      const nothing = await colloquy(dataDir, env, 'projections', 'get', 'nothing');
      assert.is(nothing.code, 3, nothing.err);
      const unnamed = await colloquy(dataDir, env, 'projections', 'rebuild');
      assert.is(unnamed.code, 2, unnamed.err);
      assert.match((await colloquy(dataDir, env, 'projections', 'rebuild', '--all-stale')).err, /nothing is stale/);
      assert.is(await service.end('SIGTERM'), 0, service.errors());

      const storage = await openStorage(readSettings({ COLLOQUY_DATA: dataDir, ...env }), pino({ level: 'silent' }));
      await storage.database.knex.raw('delete from usage_v2 where key in (select key from usage_v2 limit 3)');
      await storage.close();
      const differs = await colloquy(dataDir, env, 'projections', 'diff', 'usage');
      assert.is(differs.code, 8, differs.err);
      assert.is(differs.out.match(/missing/g)?.length, 3, differs.out);
      await server?.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
    { deadlineMs: 240_000 },
  );

test.run();
