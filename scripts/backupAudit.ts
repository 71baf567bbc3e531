/** The newest signed checkpoints go into a backup: they prove that its events are those that were signed. */
import { openEvidence } from '../domain/audit/evidence.ts';
import { readPublicKey } from '../domain/audit/note.ts';
import { verifyLog } from '../domain/audit/verifyLog.ts';
import type { Verified } from '../domain/backup/backups.ts';
import { readLogLine } from '../domain/backup/logLines.ts';
import type { Manifest } from '../domain/backup/manifest.ts';
import type { StoredRecord } from '../domain/codec.ts';
import { objectBytes, type ObjectStore } from '../domain/objectStore.ts';
import { Refusal } from '../domain/refusal.ts';
import { type PartSource, readPart } from './backupParts.ts';

/** The last one covers all that came before: leaves follow from the log, and older ones would only be many. */
const CHECKPOINTS_MOST = 100;

/** What a backup takes of the evidence, as its lines. */
export async function* evidenceLines(evidence: ObjectStore): AsyncGenerator<string> {
  const checkpoints = (await evidence.list('checkpoints/')).slice(-CHECKPOINTS_MOST);
  for (const { name } of [...(await evidence.list('keys/')), ...checkpoints])
    yield JSON.stringify({ name, base64: Buffer.from(await objectBytes(evidence, name)).toString('base64') });
}

/**
 * Holds the events of a backup against the checkpoints in it, whose signatures are checked with the keys beside them: who
 * trusts other keys compares those. @returns `checkpoints` null when it holds none.
 */
export async function holdAgainstCheckpoints(
  source: PartSource,
  manifest: Manifest,
  signal: AbortSignal,
): Promise<Pick<Verified, 'checkpoints' | 'findings'>> {
  const files = new Map<string, Uint8Array>();
  for (const part of manifest.parts)
    if (part.kind === 'evidence')
      for await (const line of readPart(source, part)) {
        const { name, base64 } = JSON.parse(line) as { name: string; base64: string };
        files.set(name, Buffer.from(base64, 'base64'));
      }
  if (files.size === 0) return { checkpoints: null, findings: [] };
  const keys = [...files].filter(([name]) => name.startsWith('keys/')).map(([, text]) => Buffer.from(text).toString());
  const { checkpoints, coveredTo, findings } = await verifyLog({
    store: {
      lineage: () => Promise.resolve(manifest.lineage),
      readStored: (after, range) => recordsOf(source, manifest, after, range?.limit ?? Infinity),
    },
    evidence: openEvidence(inMemory(files)),
    keys: keys.map(readPublicKey),
    signal,
  });
  return {
    checkpoints: { checked: checkpoints, coveredTo: coveredTo?.position ?? '0' },
    // Leaves are not in a backup: they only tell where a log differs, and follow from it.
    findings: findings
      .filter(({ kind }) => kind !== 'leaves')
      .map(({ where, says }) => `${where === 'log' ? 'checkpoints' : 'evidence'}: ${says}`),
  };
}

async function* recordsOf(
  source: PartSource,
  manifest: Manifest,
  after: bigint,
  limit: number,
): AsyncGenerator<StoredRecord> {
  let left = limit;
  for (const part of manifest.parts)
    if (part.kind === 'log')
      for await (const line of readPart(source, part)) {
        const record = readLogLine(line);
        if (record.position <= after) continue;
        if (left <= 0) return;
        left -= 1;
        yield record;
      }
}

function inMemory(files: ReadonlyMap<string, Uint8Array>): ObjectStore {
  const readOnly = () => Promise.reject(new Error('a backup is only read'));
  return {
    put: readOnly,
    remove: readOnly,
    list: (prefix) =>
      Promise.resolve(
        [...files]
          .filter(([name]) => name.startsWith(prefix))
          .map(([name, bytes]) => ({ name, sizeBytes: bytes.byteLength, writtenAt: 0 })),
      ),
    async *get(name) {
      const bytes = await Promise.resolve(files.get(name));
      if (bytes === undefined) throw new Refusal('not-found', `the backup holds no ${name}`);
      yield bytes;
    },
  };
}
