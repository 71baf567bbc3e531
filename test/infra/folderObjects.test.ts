import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { objectBytes } from '../../domain/objectStore.ts';
import { Refusal } from '../../domain/refusal.ts';
import { openFolderObjects } from '../../infra/folderObjects.ts';
import { objectStoreContract } from '../contracts/objectStore.ts';
import { suite } from '../harness.ts';

objectStoreContract('a folder', async () => {
  const home = await mkdtemp(join(tmpdir(), 'colloquy-objects-'));
  const another = () => openFolderObjects(join(home, 'not', 'yet'));
  return { store: another(), another, stop: () => rm(home, { recursive: true, force: true }) };
});

const test = suite('objects in a folder');
let home: string;
test.before(async () => {
  home = await mkdtemp(join(tmpdir(), 'colloquy-objects-'));
});
test.after(() => rm(home, { recursive: true, force: true }));

test('only the owner can read what is in it, and no draft is left', async () => {
  const store = openFolderObjects(join(home, 'own'));
  await store.put('a/b', new Uint8Array([1]));
  await store.put('a/b', new Uint8Array([2])).catch(() => undefined);
  assert.is((await stat(join(home, 'own'))).mode & 0o777, 0o700);
  assert.is((await stat(join(home, 'own', 'a', 'b'))).mode & 0o777, 0o600);
  assert.equal(await readdir(join(home, 'own', 'a')), ['b']);
});

test('what a killed process left half written is no object', async () => {
  await mkdir(join(home, 'left'), { recursive: true });
  await writeFile(join(home, 'left', '.draft-1'), 'half');
  assert.equal(await openFolderObjects(home).list('left/'), []);
});

test('a place that cannot be written says so without its path', async () => {
  await writeFile(join(home, 'file'), 'x');
  const store = openFolderObjects(join(home, 'file'));
  const error: unknown = await store.put('a', new Uint8Array([1])).catch((each: unknown) => each);
  assert.instance(error, Refusal);
  assert.not.match(String(error), home);
  assert.ok(await objectBytes(store, 'a').catch((each: unknown) => each instanceof Refusal));
});

test.run();
