/** Parts of a backup: lines, compressed, encrypted, as objects of a bounded size. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { backupFolder, type Part } from '../domain/backup/manifest.ts';
import { objectBytes, type ObjectStore } from '../domain/objectStore.ts';
import { Refusal } from '../domain/refusal.ts';
import { decryptFile, encryptFile } from '../infra/ageFiles.ts';

/** Of lines, before they are compressed: whatever they hold, the part is smaller than 64 MiB. */
const PART_CHARS = 20 << 20;
const CHUNK_CHARS = 1 << 18;

export interface PartTarget {
  readonly objects: ObjectStore;
  readonly id: string;
  readonly recipients: readonly string[];
  readonly signal: AbortSignal;
}

/** Writes lines as as many parts as they need, none for no lines. */
export async function writeParts(
  target: PartTarget,
  what: Pick<Part, 'kind' | 'table'>,
  lines: AsyncIterable<string>,
): Promise<Part[]> {
  const parts: Part[] = [];
  const source = lines[Symbol.asyncIterator]();
  try {
    let next = await source.next();
    while (next.done !== true) {
      const name = `${what.table?.replaceAll('_', '-') ?? what.kind}-${String(parts.length + 1).padStart(6, '0')}.ndjson.gz.age`;
      let count = 0;
      const content = async function* () {
        let chunk = '';
        for (let chars = 0; next.done !== true && chars < PART_CHARS; next = await source.next()) {
          chunk += `${next.value}\n`;
          chars += next.value.length;
          count += 1;
          if (chunk.length < CHUNK_CHARS) continue;
          yield Buffer.from(chunk);
          chunk = '';
        }
        yield Buffer.from(chunk);
      };
      const written = await writePart(target, name, content());
      parts.push({ name, ...what, ...written, lines: count });
    }
    return parts;
  } finally {
    await source.return?.();
  }
}

async function writePart(
  { objects, id, recipients, signal }: PartTarget,
  name: string,
  content: AsyncIterable<Buffer>,
): Promise<Pick<Part, 'sizeBytes' | 'sha256'>> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const gzip = createGzip({ level: 4 });
  const compressed = pipeline(Readable.from(content), gzip);
  // It is told by `gzip`, too, whoever reads that.
  compressed.catch(() => undefined);
  const counted = async function* () {
    for await (const chunk of encryptFile(recipients, gzip)) {
      signal.throwIfAborted();
      hash.update(chunk);
      sizeBytes += chunk.byteLength;
      yield chunk;
    }
  };
  await objects.put(backupFolder(id) + name, counted(), { signal });
  await compressed;
  return { sizeBytes, sha256: hash.digest('hex') };
}

export interface PartSource {
  readonly objects: ObjectStore;
  readonly id: string;
  readonly keys: readonly string[];
}

/**
 * The lines of a part, after its bytes were held against the manifest.
 * @throws Refusal `conflict` when they are not those that were written, `not-found`, `forbidden` with another key.
 */
export async function* readPart({ objects, id, keys }: PartSource, part: Part): AsyncGenerator<string> {
  const bytes = await objectBytes(objects, backupFolder(id) + part.name, part.sizeBytes + 1);
  if (bytes.byteLength !== part.sizeBytes || createHash('sha256').update(bytes).digest('hex') !== part.sha256)
    throw new Refusal('conflict', `the part ${part.name} is not the one that was written`);
  const gunzip = createGunzip();
  const opened = pipeline(Readable.from(decryptFile(keys, Readable.from([bytes]))), gunzip);
  opened.catch(() => undefined);
  let rest = '';
  let count = 0;
  try {
    for await (const text of gunzip.setEncoding('utf8') as AsyncIterable<string>) {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      count += lines.length;
      yield* lines;
    }
    await opened;
  } finally {
    gunzip.destroy();
  }
  if (rest !== '' || count !== part.lines)
    throw new Refusal('conflict', `the part ${part.name} holds ${count} lines, not ${part.lines}`);
}
