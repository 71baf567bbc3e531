/** Whether the database has the extension that the tables of vectors need. */
import pg from 'pg';
import { Refusal } from '../domain/refusal.ts';
import { vectorFault, withoutPgvector } from './pgvectorFault.ts';
import { runRead } from './postgresQuery.ts';

const DEADLINE_MS = 5_000;
const NO_RIGHT = '42501';

interface Versions {
  installed: string | null;
  available: string | null;
}

/**
 * Asks until it was there once. The answer rejects with `Refusal('unavailable')` when the database has no pgvector, or one
 * before 0.8, which cannot filter inside an index (hnsw.iterative_scan).
 */
export function pgvectorCheck(pool: pg.Pool): () => Promise<void> {
  let there = false;
  return async () => {
    if (there) return;
    const [row] = await runRead<Versions>(pool, { text: versionsSql, values: [], deadlineMs: DEADLINE_MS });
    const { installed = null, available = null } = row ?? {};
    if (!newEnough(installed ?? available)) {
      if (installed === null || !newEnough(available)) throw withoutPgvector();
      throw new Refusal('unavailable', 'pgvector is too old in this database: run "alter extension vector update"', {
        retryable: false,
      });
    }
    there = installed !== null;
  };
}

/** What a failed creation is called: the extension may be there, but not for this role. */
export function extensionFault(error: unknown, version: number): Refusal {
  if (!(error instanceof pg.DatabaseError) || error.code !== NO_RIGHT) return vectorFault(error, version);
  const says =
    'this role may not install pgvector: let an administrator run "create extension vector" in this database';
  return new Refusal('unavailable', says, { retryable: false, cause: error });
}

function newEnough(version: string | null): boolean {
  const [major = 0, minor = 0] = (version ?? '0.0').split('.').map(Number);
  return major > 0 || minor >= 8;
}

const versionsSql = `
select (select extversion from pg_extension where extname = 'vector') as installed,
  (select default_version from pg_available_extensions where name = 'vector') as available`;
