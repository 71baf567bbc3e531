/** The Snapshots port: one row per stream, one statement per call. */
import type pg from 'pg';
import type { Snapshots } from '../domain/ports.ts';
import { runRead } from './postgresQuery.ts';

const DEADLINE_MS = 5_000;

/**
 * Snapshots in the table of migration 002. `save` keeps the one that is there when it is of a later revision, or of the
 * same revision by a newer fold. Every failure is a `Refusal`: the caller goes on without a snapshot.
 */
export function createPostgresSnapshots({ pool }: { pool: pg.Pool }): Snapshots {
  return {
    async load(stream) {
      const [row] = await runRead<SnapshotRow>(pool, { text: loadSql, values: [stream], deadlineMs: DEADLINE_MS });
      if (row === undefined) return null;
      const { revision, event_id: eventId, version, state } = row;
      return { revision: Number(revision), eventId, version, state: JSON.parse(state) as unknown };
    },
    async save(stream, { revision, eventId, version, state }) {
      const values = [stream, revision, eventId, version, JSON.stringify(state)];
      await runRead(pool, { text: saveSql, values, deadlineMs: DEADLINE_MS });
    },
  };
}

interface SnapshotRow {
  revision: string;
  event_id: string;
  version: number;
  state: string;
}

const loadSql = 'select revision, event_id, version, state from snapshots where stream = $1';
const saveSql = `
insert into snapshots as s (stream, revision, event_id, version, state) values ($1, $2, $3, $4, $5)
on conflict (stream) do update
set revision = excluded.revision, event_id = excluded.event_id, version = excluded.version, state = excluded.state
where (s.revision, s.version) <= (excluded.revision, excluded.version)`;
