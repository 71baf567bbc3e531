/** What the doctor sees of a database server, without changing anything in it. */
import type { Settings } from '../infra/config.ts';
import { openDatabase, type Database } from '../infra/database.ts';
import { migrationsAhead } from '../infra/migrate.ts';
import { messageOf, type Check } from './doctor.ts';

const ANSWER_MS = 5_000;
/** A clock this wrong misleads whoever reads times; leases and fences do not go by clocks. */
const SKEW_MS = 2_000;

/** Reachable, migrated, on time. The embedded one is looked at through the service. */
export async function checkDatabase(settings: Settings): Promise<Check[]> {
  const { DATABASE_URL: connection } = settings;
  if (connection === undefined) return [{ name: 'database', status: 'unknown', detail: 'embedded', next: null }];
  const database = openDatabase({
    connection,
    poolMax: 2,
    embedded: false,
    applicationName: 'colloquy doctor',
    onError: () => undefined,
  });
  try {
    const before = Date.now();
    const { rows } = await inTime(
      database.pool.query<{ version: string; now: Date }>(
        `select current_setting('server_version') as version, clock_timestamp() as now`,
      ),
    );
    const skewMs = (rows[0]?.now.getTime() ?? 0) - (before + Date.now()) / 2;
    const detail = `PostgreSQL ${rows[0]?.version ?? ''}`;
    return [{ name: 'database', status: 'ok', detail, next: null }, await migrations(database), clock(skewMs)];
  } catch (error) {
    return [{ name: 'database', status: 'fail', detail: messageOf(error), next: 'start it, or correct DATABASE_URL' }];
  } finally {
    await database.close();
  }
}

async function migrations({ knex }: Database): Promise<Check> {
  const name = 'migrations';
  const { missing, newer } = await inTime(migrationsAhead(knex));
  if (newer.length > 0)
    return { name, status: 'fail', detail: `of a newer version: ${newer.join(', ')}`, next: 'use the newer version' };
  if (missing.length > 0)
    return {
      name,
      status: 'warn',
      detail: `not applied yet: ${missing.join(', ')}`,
      next: 'colloquy start applies them',
    };
  return { name, status: 'ok', detail: 'all applied', next: null };
}

function clock(skewMs: number): Check {
  const good = Math.abs(skewMs) < SKEW_MS;
  const detail = `${(skewMs / 1000).toFixed(1)} s apart from the database's`;
  return { name: 'clock', status: good ? 'ok' : 'warn', detail, next: good ? null : 'set both clocks by NTP' };
}

async function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ANSWER_MS / 1000} s`)), ANSWER_MS);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
