/** A log with evidence over most of it, and hands that change it behind everybody's back. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Evidence, openEvidence } from '../../domain/audit/evidence.ts';
import { extendEvidence } from '../../domain/audit/extend.ts';
import type { Signer } from '../../domain/audit/note.ts';
import { verifyLog, type Verdict } from '../../domain/audit/verifyLog.ts';
import type { ObjectStore } from '../../domain/objectStore.ts';
import { type EventStore, NO_STREAM } from '../../domain/ports.ts';
import { openFolderObjects } from '../../infra/folderObjects.ts';
import { aMessage } from '../contracts/sampleEvents.ts';

/** A log that can be changed as only those can who own its server. Places are counted from 0. */
export interface TamperableLog {
  readonly store: () => EventStore;
  flip(index: number): Promise<void>;
  remove(index: number): Promise<void>;
  /** Puts a forged event before the one at the index, at the end of its own stream. */
  insert(index: number): Promise<void>;
  swap(a: number, b: number): Promise<void>;
  /** Keeps so many events. */
  cut(length: number): Promise<void>;
  stop(): Promise<void>;
}

/** Streams of a sample log: events go to them in turn. */
export const STREAMS = [0, 1, 2].map((i) => `discussion-00000000-0000-4000-8000-00000000000${i}`);

/** The stream and revision of the event at an index of a sample log. */
export function placeOf(index: number): { stream: string; revision: number } {
  return { stream: STREAMS[index % STREAMS.length] ?? '', revision: Math.floor(index / STREAMS.length) };
}

/** Appends events `from` to `to` of a sample log, one by one. */
export async function fill(store: EventStore, from: number, to: number, text = 'event'): Promise<void> {
  for (let index = from; index < to; index += 1) {
    const { stream, revision } = placeOf(index);
    await store.append(stream, [aMessage(`${text} ${index}`)], revision === 0 ? NO_STREAM : revision - 1);
  }
}

export type ReadableLog = Pick<EventStore, 'readStored' | 'lineage'>;

export interface Auditing {
  readonly objects: ObjectStore;
  readonly evidence: Evidence;
  readonly signer: Signer;
  /** Signs a checkpoint over all there is. */
  checkpoint(store: ReadableLog): Promise<void>;
  verify(store: ReadableLog, outside?: readonly string[]): Promise<Verdict>;
  stop(): Promise<void>;
}

/** A key of one's own. */
export function aSigner(): Signer {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  return { publicKey: raw, sign: (text) => sign(null, Buffer.from(text), privateKey) };
}

/** Evidence in a folder of its own. */
export async function anAuditing(signer = aSigner()): Promise<Auditing> {
  const folder = await mkdtemp(join(tmpdir(), 'colloquy-audit-'));
  const objects = openFolderObjects(folder);
  return {
    objects,
    signer,
    // Opened anew at each use: nothing is remembered of what was tampered with meanwhile.
    get evidence() {
      return openEvidence(objects);
    },
    async checkpoint(store) {
      const extension = await extendEvidence({ store, evidence: openEvidence(objects), signer, trusted: [] });
      while ((await extension.read(1_000)) > 0);
      await extension.write('2026-01-02T03:04:05.678Z');
    },
    verify: (store, outside = []) =>
      verifyLog({ store, evidence: openEvidence(objects), keys: [signer.publicKey], outside }),
    stop: () => rm(folder, { recursive: true, force: true }),
  };
}
