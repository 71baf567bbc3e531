/** `colloquy events verify` where no service can start any more: the log was cut below its read models. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pino from 'pino';
import * as assert from 'uvu/assert';
import { readSettings } from '../../infra/config.ts';
import { openStorage } from '../../scripts/storage.ts';
import { suite } from '../harness.ts';
import { environmentWith } from '../services.ts';
import { killStarted, startProcess } from './startProcess.ts';

const test = suite('verifying a log that was cut');
let dataDir: string;
test.before(async () => void (dataDir = await mkdtemp(join(tmpdir(), 'colloquy-cut-'))));
test.after(async () => {
  await killStarted();
  await rm(dataDir, { recursive: true, force: true });
});

function colloquy(...args: string[]): Promise<{ code: number | null; err: string }> {
  const settings = { DATABASE_URL: '', OLLAMA_URL: 'http://127.0.0.1:9', COLLOQUY_DATA: dataDir };
  const options = { cwd: join(import.meta.dirname, '..', '..'), env: environmentWith(settings) };
  return new Promise((resolve) => {
    const child = execFile(process.execPath, ['scripts/colloquy.mjs', ...args], options, (_error, _out, err) =>
      resolve({ code: child.exitCode, err }),
    );
  });
}

test(
  'names the first position that is gone, though the read models have seen what came after it',
  async () => {
    const service = startProcess(dataDir);
    const model = { provider: 'offline', name: 'offline' };
    for (const name of ['Ada', 'Bea', 'Cleo'])
      await service.api('POST', '/agents', { name, instructions: 'Be brief.', model });
    const { size } = (await service.api('POST', '/audit/checkpoints')) as { size: number };
    assert.is(size, 3);
    while (((await service.api('GET', '/projections/agents')) as { position: string }).position !== '3')
      await delay(50);
    assert.is(await service.end('SIGTERM'), 0, service.errors());

    const storage = await openStorage(readSettings({ COLLOQUY_DATA: dataDir }), pino({ level: 'silent' }));
    await storage.database.knex.raw('delete from events where position > 2');
    await storage.database.knex.raw('update log_head set position = 2');
    await storage.close();
    const verified = await colloquy('events', 'verify');
    assert.is(verified.code, 8, verified.err);
    assert.match(verified.err, /truncated: the log ends before position 3/);
    const others = await colloquy('projections', 'list');
    assert.is(others.code, 1);
    assert.match(others.err, /was built from another log than this one/);
  },
  { deadlineMs: 90_000 },
);

test.run();
