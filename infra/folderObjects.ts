/** The ObjectStore port in a folder of this machine, or one that is mounted here. */
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { objectName, type ObjectStore, type StoredObject } from '../domain/objectStore.ts';
import { Refusal } from '../domain/refusal.ts';

/** No name begins with a dot, so what is being written is never taken for an object. */
const DRAFT = '.draft-';

/** Made when it is first written to; only its owner can read what is in it. */
export function openFolderObjects(folder: string): ObjectStore {
  const root = resolve(folder);
  const pathOf = (name: string) => join(root, ...objectName(name).split('/'));
  return {
    async put(name, content, { replace = false, signal } = {}) {
      const path = pathOf(name);
      const draft = join(dirname(path), `${DRAFT}${randomUUID()}`);
      try {
        await makeFolder(dirname(path), root);
        await writeDraft(draft, content, signal);
        // A link fails where something stands already; a rename would take its place.
        await (replace ? rename(draft, path) : link(draft, path));
        await syncFolder(dirname(path));
      } catch (error) {
        throw failureOf(error, name);
      } finally {
        await rm(draft, { force: true }).catch(() => undefined);
      }
    },
    async *get(name, { signal } = {}) {
      const stream = createReadStream(pathOf(name), { highWaterMark: 1 << 18, ...(signal ? { signal } : {}) });
      try {
        for await (const chunk of stream) yield chunk as Uint8Array;
      } catch (error) {
        throw failureOf(error, name);
      } finally {
        stream.destroy();
      }
    },
    async list(prefix, { signal } = {}) {
      const found: StoredObject[] = [];
      const folderPart = prefix.slice(0, prefix.lastIndexOf('/') + 1);
      if (folderPart !== '') objectName(folderPart.slice(0, -1));
      await walk(root, folderPart, prefix, found, signal).catch((error: unknown) => {
        throw failureOf(error, prefix);
      });
      return found.sort((a, b) => (a.name < b.name ? -1 : 1));
    },
    async remove(name) {
      const path = pathOf(name);
      try {
        await rm(path, { force: true });
        await syncFolder(dirname(path));
      } catch (error) {
        if (!isMissing(error)) throw failureOf(error, name);
      }
    },
  };
}

async function writeDraft(
  path: string,
  content: Uint8Array | AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const file: FileHandle = await open(path, 'wx', 0o600);
  try {
    for await (const chunk of content instanceof Uint8Array ? [content] : content) {
      signal?.throwIfAborted();
      await file.writeFile(chunk);
    }
    signal?.throwIfAborted();
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes what is missing down to the folder, and syncs each new one's parent: else its entry may be lost with the power. */
async function makeFolder(folder: string, root: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let made = folder; made.length >= first.length && made.length > 1; made = dirname(made))
    await syncFolder(dirname(made));
  if (first.length <= root.length) await syncFolder(dirname(first));
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function walk(
  root: string,
  folder: string,
  prefix: string,
  found: StoredObject[],
  signal: AbortSignal | undefined,
): Promise<void> {
  signal?.throwIfAborted();
  const entries = await readdir(join(root, folder), { withFileTypes: true }).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
  for (const entry of entries) {
    const name = folder + entry.name;
    if (entry.name.startsWith('.')) continue;
    if (entry.isDirectory() && (name.startsWith(prefix) || prefix.startsWith(`${name}/`)))
      await walk(root, `${name}/`, prefix, found, signal);
    if (!entry.isFile() || !name.startsWith(prefix)) continue;
    const { size, mtimeMs } = await stat(join(root, name));
    found.push({ name, sizeBytes: size, writtenAt: Math.floor(mtimeMs) });
  }
}

function isMissing(error: unknown): boolean {
  return codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR';
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

/** What comes from the content, or from an abort, goes on as it is. */
function failureOf(error: unknown, name: string): unknown {
  const code = codeOf(error);
  if (typeof code !== 'string' || !/^E[A-Z]+$/.test(code)) return error;
  if (code === 'EEXIST') return new Refusal('conflict', `${name} exists already`);
  if (isMissing(error) || code === 'EISDIR') return new Refusal('not-found', `there is no object ${name}`);
  return new Refusal('unavailable', `the folder of objects does not take or give ${name} (${code})`, { cause: error });
}
