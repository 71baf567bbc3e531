/** Brings a database to the schema of this program. */
import type { Knex } from 'knex';
import { Refusal } from '../domain/refusal.ts';
import * as log from './migrations/001_log.ts';
import * as leasesSnapshots from './migrations/002_leases_snapshots.ts';
import * as projections from './migrations/003_projections.ts';
import * as slots from './migrations/004_slots.ts';
import * as api from './migrations/005_api.ts';
import * as rebuild from './migrations/006_rebuild.ts';
import * as backup from './migrations/008_backup.ts';
import * as deadLetters from './migrations/009_deadletters.ts';
import * as vectors from './migrations/010_vectors.ts';

interface Migration {
  readonly name: string;
  readonly up: (knex: Knex) => Promise<void>;
  readonly down: (knex: Knex) => Promise<void>;
}

const migrations: readonly Migration[] = [
  log,
  leasesSnapshots,
  projections,
  slots,
  api,
  rebuild,
  backup,
  deadLetters,
  vectors,
];

const source: Knex.MigrationSource<Migration> = {
  getMigrations: async () => [...migrations],
  getMigrationName: (migration) => migration.name,
  getMigration: async (migration) => migration,
};

const OLDEST_VERSION = 150_000;
/** Any number nobody else uses in this database. */
const LOCK_KEY = '7303014101';
/** How long to wait for another process that is migrating. */
const WAIT_MS = 600_000;

/**
 * Runs what is missing, all of it in one transaction. Any number of processes may start at once: they take turns.
 * Rejects with `Refusal('unavailable')`, not retryable, for a server older than PostgreSQL 15, another encoding than UTF8,
 * or a database that a newer program has migrated.
 */
export async function migrate(knex: Knex): Promise<void> {
  await checkServer(knex);
  await knex.transaction(async (trx) => {
    // In one transaction with the lock, since an embedded database has one session: another connection would wait for
    // this one for ever. knex's own lock row stays set when a process is killed; here it vanishes with the transaction.
    await trx.raw('set local statement_timeout = 0');
    await trx.raw(`select pg_advisory_xact_lock(${LOCK_KEY})`).options({ query_timeout: WAIT_MS });
    const known = new Set(migrations.map(({ name }) => name));
    const done = await applied(trx);
    const newer = done.find((name) => !known.has(name));
    if (newer !== undefined)
      throw unusable(`the database has migration ${newer}, which this version does not know: use the newer version`);
    if (done.length < migrations.length) await trx.migrate.latest({ migrationSource: source });
  });
}

/**
 * What `migrate` would do, without doing it: migrations that are missing, and those of a newer program.
 * @throws Refusal as `migrate` for a server that cannot be used.
 */
export async function migrationsAhead(knex: Knex): Promise<{ missing: string[]; newer: string[] }> {
  await checkServer(knex);
  const done = await knex.transaction((trx) => applied(trx));
  const known = migrations.map(({ name }) => name);
  return {
    missing: known.filter((name) => !done.includes(name)),
    newer: done.filter((name) => !known.includes(name)),
  };
}

async function checkServer(knex: Knex): Promise<void> {
  const { rows } = await knex.raw<{ rows: { version: number; name: string; encoding: string }[] }>(
    `select current_setting('server_version_num')::int as version, current_setting('server_version') as name,
       current_setting('server_encoding') as encoding`,
  );
  const [server] = rows;
  if (server === undefined) throw unusable('the server did not tell its version');
  if (server.version < OLDEST_VERSION)
    throw unusable(`PostgreSQL 15 or newer is needed, this server is ${server.name}`);
  if (server.encoding !== 'UTF8')
    throw unusable(
      `the database's encoding is ${server.encoding}: create it with encoding 'UTF8' and template template0`,
    );
}

async function applied(trx: Knex.Transaction): Promise<string[]> {
  if (!(await trx.schema.hasTable('knex_migrations'))) return [];
  return await trx<{ name: string }>('knex_migrations').pluck('name');
}

function unusable(detail: string): Refusal {
  return new Refusal('unavailable', detail, { retryable: false });
}
