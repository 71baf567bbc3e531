/** What the documents say is run as it stands there. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as assert from 'uvu/assert';
import { readSettings, settingsSchema, showSettings } from '../infra/config.ts';
import { createLogger } from '../infra/logging.ts';
import { startService, type Service } from '../scripts/service.ts';
import { suite } from './harness.ts';
import { postgresForTests } from './services.ts';

const run = promisify(execFile);
const test = suite('documents');
const root = new URL('../', import.meta.url);
const read = (path: string) => readFile(new URL(path, root), 'utf8');

let database: Awaited<ReturnType<typeof postgresForTests>>;
let service: Service;
let folder: string;

test.before(async () => {
  database = await postgresForTests();
  folder = await mkdtemp(join(tmpdir(), 'colloquy-docs-'));
  const settings = readSettings({ PORT: '0', COLLOQUY_DATA: folder, DATABASE_URL: database.url });
  service = await startService(settings, createLogger('silent'), { nextFreePort: false });
});

test.after(async () => {
  await service.stop();
  await database.stop();
  await rm(folder, { recursive: true, force: true });
});

test(
  "the README's example runs as printed and shows a whole discussion",
  async () => {
    const script = /```bash\n([\s\S]*?)```/.exec(await read('README.md'))?.[1] ?? '';
    const lines = script.split('\n').filter((line) => line.trim() !== '');
    assert.ok(lines.length >= 12 && lines.length <= 20, `${lines.length} lines`);
    // The example looks for the data folder where it was started.
    const home = await mkdtemp(join(tmpdir(), 'colloquy-home-'));
    await symlink(folder, join(home, '.colloquy'));
    const here = script.replace('http://127.0.0.1:4400', service.url);
    const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', here], { cwd: home, timeout: 60_000 });
    await rm(home, { recursive: true, force: true });
    for (const sign of [
      'event: DiscussionOpened',
      'event: delta',
      'event: caught-up',
      'event: end',
      '"reason":"max-turns"',
    ])
      assert.ok(stdout.includes(sign), `${sign} is missing in ${stdout.slice(-500)}`);
    assert.is(stdout.match(/event: TurnCompleted/g)?.length, 4);
  },
  { deadlineMs: 90_000 },
);

test('.env.example names every setting, with its default', async () => {
  const shown = new Map(
    [...(await read('.env.example')).matchAll(/^([A-Z0-9_]+)=(.*)$/gm)].map((match) => [match[1], match[2]]),
  );
  assert.equal([...shown.keys()].sort(), Object.keys(settingsSchema.shape).sort());
  for (const { name, value, origin } of showSettings({}))
    if (origin === 'default' && name !== 'COLLOQUY_DATA') assert.is(shown.get(name), value, name);
  assert.is(shown.get('COLLOQUY_DATA'), settingsSchema.parse({}).COLLOQUY_DATA);
});

test('every test file that ARCHITECTURE.md names is there, and every invariant names one', async () => {
  const text = await read('ARCHITECTURE.md');
  const rows = [...text.matchAll(/^\|\s*(I\d+)\s*\|.*\|(.*)\|$/gm)];
  assert.is(rows.length, 12);
  for (const [, name, cell] of rows) {
    const files = [...(cell ?? '').matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '');
    assert.ok(files.length > 0, `${name} names no test`);
    for (const file of files) await readFile(new URL(file, root), 'utf8');
  }
});

test.run();
