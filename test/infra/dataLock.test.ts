import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { Refusal } from '../../domain/refusal.ts';
import { lockDataFolder, type LockMethod } from '../../infra/dataLock.ts';
import { suite } from '../harness.ts';

const test = suite('data lock');
const METHODS: LockMethod[] = process.platform === 'linux' ? ['socket', 'file'] : ['file'];
let folder: string;

test.before.each(async () => {
  folder = await mkdtemp(join(tmpdir(), 'colloquy-test-'));
});

test.after.each(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function refused(path: string, method: LockMethod): Promise<void> {
  await lockDataFolder(path, method).then(
    () => assert.unreachable('was locked twice'),
    (error: unknown) => {
      assert.instance(error, Refusal);
      assert.match(String(error), `process ${process.pid}`);
    },
  );
}

for (const method of METHODS) {
  test(`${method}: one holder at a time, by whatever path, and free after release`, async () => {
    const lock = await lockDataFolder(folder, method);
    const alias = `${folder}-alias`;
    await symlink(folder, alias);
    await refused(folder, method);
    await refused(alias, method);
    await rm(alias);
    await lock.release();
    await lock.release();
    await (await lockDataFolder(folder, method)).release();
  });
}

test('file: takes over from a process that is gone, and from an older one with this process id', async () => {
  for (const left of ['2147483000 left\n', `${process.pid} left\n`, '']) {
    await writeFile(join(folder, 'lock-7'), left);
    const lock = await lockDataFolder(folder, 'file');
    assert.match(await readFile(join(folder, 'lock-8'), 'utf8'), `${process.pid} `);
    await lock.release();
    await rm(join(folder, 'lock-8'));
  }
});

test('file: many at once leave one holder', async () => {
  for (let round = 0; round < 30; round += 1) {
    const place = await mkdtemp(join(folder, 'round-'));
    await writeFile(join(place, 'lock-1'), '2147483000 left\n');
    const attempts = await Promise.allSettled(Array.from({ length: 8 }, () => lockDataFolder(place, 'file')));
    assert.is(attempts.filter((attempt) => attempt.status === 'fulfilled').length, 1);
  }
});

test.run();
