/** What goes wrong with the records kept apart from the log: its signed checkpoints, and its backups. */
import type { Clock } from '../../domain/ports.ts';
import { createPostgresSlots } from '../../infra/postgresSlots.ts';
import { systemIds } from '../../infra/system.ts';
import { openAudit } from '../../scripts/audit.ts';
import { backupObjects, openBackupShelf } from '../../scripts/backups.ts';
import { runBackupSchedule } from '../../scripts/backupSchedule.ts';
import { wallClock } from '../standins/wallClock.ts';
import { runAuditor, type AuditorPace } from '../../workers/auditor.ts';
import type { AlertScene, Scrape } from './alertScene.ts';

const DAY_MS = 86_400_000;
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
const AGENT = { name: 'A', instructions: 'Speak.', model: { provider: 'offline', name: 'talks' } };

/** One more auditor, as any process may have one. @returns what stops it, which then has written its last checkpoint. */
async function audit(on: AlertScene, pace: Partial<AuditorPace>, clock: Clock = wallClock) {
  const parts = await openAudit(on.settings);
  const stopping = new AbortController();
  const { store } = on.storage;
  const { telemetry } = on.prometheus;
  const running = runAuditor({ ...parts, store, clock, log: silent, telemetry, pace }, stopping.signal);
  const stop = async () => {
    stopping.abort();
    await running;
  };
  return { ...parts, stop };
}

/** An auditor whose checkpoints do not come about; its clock runs a thousand times too fast. */
export async function auditTooSlow(on: AlertScene): Promise<Scrape> {
  const clock = { ...wallClock, monotonic: () => performance.now() * 1000 };
  await on.call('POST', '/agents', AGENT);
  const auditor = await audit(on, { lookMs: 20, events: Infinity, longestMs: Infinity }, clock);
  const seen = await on.scrapeUntil((each) => (each.get('audit_checkpoint_age_seconds{}') ?? 0) > 300);
  await auditor.stop();
  return seen;
}

/** The newest event under a signed checkpoint is changed in the database, if only by a space. */
export async function tamper(on: AlertScene): Promise<Scrape> {
  const { stop } = await audit(on, { lookMs: 20 });
  await stop();
  const position = await on.storage.store.head();
  const change = `update events set metadata = metadata || ' ' where position = $1`;
  await on.storage.database.pool.query(change, [position.toString()]);
  const auditor = await audit(on, { lookMs: 20, events: 1 });
  await on.call('POST', '/agents', AGENT);
  const seen = await on.scrapeUntil((each) => each.get('audit_mismatch{}') === 1);
  await auditor.stop();
  return seen;
}

/** Two days on, and no backup was made meanwhile. */
export async function noBackup(on: AlertScene): Promise<Scrape> {
  await on.scrapeUntil((each) => each.has('backup_age_seconds{}'));
  const clock = { ...wallClock, now: () => Date.now() + 2 * DAY_MS };
  const { store, database } = on.storage;
  const objects = await backupObjects(on.settings);
  const slots = createPostgresSlots({ pool: database.pool });
  const recipients = () => Promise.resolve([]);
  const source = { store, database, objects, evidence: null, slots, clock, ids: systemIds, program: '0', recipients };
  const stopping = new AbortController();
  const shelf = await openBackupShelf(on.settings);
  const { telemetry } = on.prometheus;
  const running = runBackupSchedule({ shelf, source, every: undefined, log: silent, telemetry }, stopping.signal);
  const seen = await on.scrapeUntil((each) => (each.get('backup_age_seconds{}') ?? 0) > 93_600);
  stopping.abort();
  await running;
  return seen;
}
