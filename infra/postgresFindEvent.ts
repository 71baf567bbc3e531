/** Finds an event of the log by its id alone, which its index serves: for people who look into something. */
import type pg from 'pg';
import { runRead } from './postgresQuery.ts';

const DEADLINE_MS = 5_000;

/** Where an event stands. */
export interface FoundEvent {
  readonly stream: string;
  readonly revision: number;
}

/** @returns a search by event id (a UUID), which answers null for an unknown one. Every failure is a `Refusal`. */
export function createEventFinder({ pool }: { pool: pg.Pool }): (id: string) => Promise<FoundEvent | null> {
  return async (id) => {
    const text = 'select stream, revision from events where id = $1';
    const [row] = await runRead<{ stream: string; revision: string }>(pool, {
      text,
      values: [id],
      deadlineMs: DEADLINE_MS,
    });
    return row === undefined ? null : { stream: row.stream, revision: Number(row.revision) };
  };
}
