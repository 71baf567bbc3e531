/** Brings a backup back into an empty log, byte for byte, then builds the read models and holds all of it against the backup. */
import type { Report } from '../domain/backup/backups.ts';
import { createLogDigest, readLogLine } from '../domain/backup/logLines.ts';
import type { Manifest, Part } from '../domain/backup/manifest.ts';
import type { StoredRecord } from '../domain/codec.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Log } from '../domain/telemetry.ts';
import { markRestore, restoreUnderWay, unmarkRestore } from '../infra/postgresRestore.ts';
import { dropDerived, insertRows, schemaOf } from '../infra/postgresBackup.ts';
import { systemClock } from '../infra/system.ts';
import { readModels } from '../projections/readModels.ts';
import { runProjections } from '../projections/run.ts';
import { type PartSource, readPart } from './backupParts.ts';
import type { RestoreTarget } from './backupTarget.ts';

export interface RestoreOptions {
  readonly target: RestoreTarget;
  readonly source: PartSource;
  readonly manifest: Manifest;
  /** Empties what an interrupted restore wrote, and begins anew. */
  readonly restart: boolean;
  readonly dryRun: boolean;
  readonly report: Report;
  readonly signal: AbortSignal;
  readonly log: Log;
}

export interface Restored {
  readonly id: string;
  readonly into: string;
  readonly dryRun: boolean;
  readonly events: number;
  /** Position of the last event, there. */
  readonly head: string;
  readonly lineage: string;
  /** `kept`: proofs by position hold. `new`: the same events in the same order, but signed checkpoints do not fit them. */
  readonly positions: 'kept' | 'new';
  /** Events that an interrupted restore had written already. */
  readonly foundThere: number;
}

const ROWS_AT_ONCE = 1_000;
const REPORT_EVERY = 5_000;
const LOOK_MS = 1_000;

/**
 * Restores, or goes on with a restore of the same backup that was interrupted. Until it is whole no service starts there.
 * @throws Refusal `conflict` for a log that is not empty, one that others use, a backup that is damaged.
 */
export async function restoreBackup(options: RestoreOptions): Promise<Restored> {
  const { target, manifest, restart, dryRun } = options;
  const foundThere = await checkTarget(options);
  const keeps = target.keepsPositions && manifest.head === String(manifest.events);
  const restored = {
    id: manifest.id,
    into: target.where,
    dryRun,
    events: manifest.events,
    lineage: manifest.lineage,
    positions: keeps ? ('kept' as const) : ('new' as const),
    foundThere,
  };
  if (dryRun) return { ...restored, head: manifest.head };
  await markRestore(target.knex, manifest.id);
  if (restart && foundThere > 0) await target.empty();
  await dropDerived(target.knex);
  await writeLog(options, restart ? 0 : foundThere);
  options.signal.throwIfAborted();
  await target.setLineage(manifest.lineage);
  await writeTables(options);
  const head = await holdAgainst(options);
  await unmarkRestore(target.knex);
  await buildReadModels(options, head);
  return { ...restored, head: String(head) };
}

/** @returns position of what an interrupted restore of this backup has written, 0 for an empty log. */
async function checkTarget({ target, manifest, restart }: RestoreOptions): Promise<number> {
  const schema = await schemaOf(target.knex);
  if (manifest.schema > schema)
    throw new Refusal(
      'conflict',
      `the backup was made by a newer program (${manifest.program}): restore it with that one`,
    );
  const others = await target.others();
  if (others > 0)
    throw new Refusal('conflict', `${others} connections of other processes use the database: stop them all first`);
  const [underWay, position] = [await restoreUnderWay(target.knex), await target.position()];
  if (underWay === null && position > 0)
    throw new Refusal(
      'conflict',
      'there is a log already: a backup is restored into an empty database or data folder only',
    );
  if (underWay !== null && underWay !== manifest.id && !restart)
    throw new Refusal(
      'conflict',
      `restore incomplete: it was backup ${underWay} that was being restored here. Go on with that one, or give --restart`,
    );
  return position;
}

/** @param from where an interrupted restore ended; a log that has given other positions passes over what it has by itself. */
async function writeLog(options: RestoreOptions, from: number): Promise<void> {
  const { target, manifest, report, signal } = options;
  let batch: StoredRecord[] = [];
  let chars = 0;
  let done = 0;
  const flush = async () => {
    signal.throwIfAborted();
    await target.write(batch);
    report(done, manifest.events, 'writing the log');
    [batch, chars] = [[], 0];
  };
  for await (const line of linesOf(options, 'log')) {
    done += 1;
    if (target.keepsPositions && done <= from) continue;
    const record = readLogLine(line);
    // A log whose positions have gaps goes into one that has none.
    batch.push({ ...record, position: BigInt(done) });
    chars += line.length;
    if (batch.length >= target.batch.events || chars >= target.batch.chars) await flush();
  }
  if (batch.length > 0) await flush();
}

async function* linesOf({ source, manifest }: RestoreOptions, kind: Part['kind']): AsyncGenerator<string> {
  for (const part of manifest.parts) if (part.kind === kind) yield* readPart(source, part);
}

async function writeTables({ source, manifest, target }: RestoreOptions): Promise<void> {
  for (const part of manifest.parts) {
    if (part.kind !== 'table' || part.table === undefined) continue;
    let rows: string[] = [];
    for await (const row of readPart(source, part)) {
      rows.push(row);
      if (rows.length < ROWS_AT_ONCE) continue;
      await insertRows(target.knex, part.table, rows);
      rows = [];
    }
    await insertRows(target.knex, part.table, rows);
  }
}

/** Reads the log that was written. @returns its head. @throws Refusal `conflict` when it is not the one of the backup. */
async function holdAgainst({ target, manifest, report, signal }: RestoreOptions): Promise<bigint> {
  const digest = createLogDigest();
  for await (const record of target.store.readStored(0n)) {
    digest.add(record);
    if (digest.events() % REPORT_EVERY !== 0) continue;
    signal.throwIfAborted();
    report(digest.events(), manifest.events, 'reading it again');
  }
  const lineage = await target.store.lineage();
  if (digest.events() !== manifest.events || digest.sha256() !== manifest.logSha256 || lineage !== manifest.lineage)
    throw new Refusal('conflict', 'what was written is not what the backup holds: restore again with --restart');
  return digest.head();
}

/** The next start would do the same: here somebody waits for it and sees how far it is. */
async function buildReadModels({ target, report, signal, log }: RestoreOptions, head: bigint): Promise<void> {
  const over = new AbortController();
  const runner = await runProjections({
    knex: target.knex,
    store: target.store,
    clock: systemClock,
    projections: readModels,
    signal: AbortSignal.any([over.signal, signal]),
    onFault: (error) => log.warn({ err: error }, 'the read models had trouble: trying again'),
  });
  const names = readModels.map(({ name }) => name);
  try {
    while (!(await runner.waitFor(head, names, { timeoutMs: LOOK_MS, signal }))) {
      signal.throwIfAborted();
      const rows = await target.knex('projections').select<{ position: string }[]>('position');
      const slowest = Math.min(...rows.map(({ position }) => Number(position)));
      report(slowest, Number(head), 'building the read models');
    }
  } finally {
    over.abort();
    await runner.finished;
  }
}
