/** Makes a backup when the newest is old enough, and tells how old it is. Any number of processes may: one of them does. */
import type { BackupShelf } from '../domain/backup/backups.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Log, Telemetry } from '../domain/telemetry.ts';
import { type BackupSource, createBackup } from './backupCreate.ts';

export interface ScheduleOptions {
  readonly shelf: BackupShelf;
  readonly source: BackupSource;
  /** `30m`, `24h`, `7d`; undefined: none is made, only the age is told. */
  readonly every: string | undefined;
  readonly log: Log;
  readonly telemetry: Telemetry;
  /** Between two looks; a minute unless said. */
  readonly lookMs?: number;
}

const LOOK_MS = 60_000;
const UNIT_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of `30m`, `24h` or `7d`. */
export function everyMs(every: string): number {
  return Number(every.slice(0, -1)) * (UNIT_MS[every.slice(-1)] ?? NaN);
}

/** Goes by the newest backup's time, so a restart changes nothing. Ends when the signal aborts; never rejects. */
export async function runBackupSchedule(options: ScheduleOptions, signal: AbortSignal): Promise<void> {
  const { source, log, lookMs = LOOK_MS } = options;
  while (!signal.aborted) {
    await look(options, signal).catch((error: unknown) => {
      const busy = error instanceof Refusal && error.code === 'conflict';
      if (!signal.aborted && !busy) log.error({ err: error }, 'the backup could not be made: trying again');
    });
    await source.clock.sleep(lookMs, signal);
  }
}

async function look(options: ScheduleOptions, signal: AbortSignal): Promise<void> {
  const { shelf, source, every, log } = options;
  const due = async (): Promise<boolean> => {
    const ageMs = await tellAge(options);
    return every !== undefined && (ageMs === null || ageMs >= everyMs(every));
  };
  if (!(await due()) || signal.aborted) return;
  // Another process may have made one since: asked again once nobody else is at it.
  const made = await createBackup(source, () => undefined, signal, due);
  if (made === null) return;
  log.info({ backup: made.id, events: made.events }, 'a backup was made');
  await tellAge(options);
  const { removed } = await shelf.prune({ dryRun: false });
  if (removed.length > 0) log.info({ backups: removed }, 'old backups were removed');
}

/** Of the newest whole backup, milliseconds; null when there is none. */
async function tellAge({ shelf, source, telemetry }: ScheduleOptions): Promise<number | null> {
  const times = (await shelf.list()).filter(({ whole }) => whole).map(({ madeAt }) => Date.parse(madeAt));
  if (times.length === 0) return null;
  const ageMs = Math.max(0, source.clock.now() - Math.max(...times));
  telemetry.set('backup_age_seconds', ageMs / 1000);
  return ageMs;
}
