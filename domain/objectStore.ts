/** Named byte objects at a place apart from the databases: what backups and the evidence of the audit are kept in. */
import { Refusal } from './refusal.ts';

export interface StoredObject {
  readonly name: string;
  readonly sizeBytes: number;
  /** Wall-clock ms of the last write, as the place tells it. */
  readonly writtenAt: number;
}

/**
 * Objects by name, whole or not at all.
 *
 * Names are paths of `[a-z0-9._-]` segments with `/` between them (`objectName` says which); another name is refused with
 * `Refusal('invalid')`. `put` resolves when the object is durable; a reader never sees half of it, also when the process
 * dies meanwhile or the iterable throws (its error comes out, nothing is left). A name that exists already rejects with
 * `Refusal('conflict')`, and stays as it is, unless `replace`. Of several that put one name at once, one wins.
 * `get` rejects with `Refusal('not-found')` at the first read when there is none, and with `Refusal('unavailable')` when
 * the bytes break off. Chunks are of any size. `list` gives the objects whose names begin with `prefix` (any text, not only
 * whole segments), sorted by name. No name may be the beginning segments of another (`a` beside `a/b`). `remove` of what does not exist does nothing.
 * All else that fails rejects with `Refusal('unavailable')`, within a time-out of the adapter's. Nothing is retried.
 */
export interface ObjectStore {
  put(
    name: string,
    content: Uint8Array | AsyncIterable<Uint8Array>,
    options?: { replace?: boolean; signal?: AbortSignal },
  ): Promise<void>;
  get(name: string, options?: { signal?: AbortSignal }): AsyncIterable<Uint8Array>;
  list(prefix: string, options?: { signal?: AbortSignal }): Promise<StoredObject[]>;
  remove(name: string): Promise<void>;
}

const NAME = /^(?!.*(?:^|\/)\.)[a-z0-9._-]+(?:\/[a-z0-9._-]+)*$/;

/** Whether a name is safe as a path: no empty segment, none that begins with a dot. */
export function isObjectName(name: string): boolean {
  return name.length <= 512 && NAME.test(name);
}

/** The name itself. Throws `Refusal('invalid')` unless it is safe as a path. */
export function objectName(name: string): string {
  if (!isObjectName(name)) throw new Refusal('invalid', `not a name of an object: ${name.slice(0, 80)}`);
  return name;
}

/** All of an object at once. Rejects like `get`, and with `Refusal('too-large')` beyond `limitBytes`. */
export async function objectBytes(store: ObjectStore, name: string, limitBytes = 64 << 20): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of store.get(name)) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > limitBytes) throw new Refusal('too-large', `${name} is larger than ${String(limitBytes)} bytes`);
    chunks.push(chunk);
  }
  const all = new Uint8Array(sizeBytes);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return all;
}
