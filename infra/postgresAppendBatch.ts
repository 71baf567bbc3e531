/** Several appends as one call of `log_append`, and what its answer says of each. */
import pg from 'pg';
import type { StoredEvent } from '../domain/codec.ts';
import type { Appended } from '../domain/ports.ts';
import { UnknownOutcome } from '../domain/refusal.ts';
import { type EncodedAppend, SEPARATOR } from './appendRules.ts';
import type { StoredRow } from './logPages.ts';
import { runStatement } from './postgresQuery.ts';
import type { RangeRow } from './postgresReads.ts';

const APPEND_MS = 10_000;

/** An append that did not fit, and where its stream is: -1 when there is none. */
export interface Lost<A> {
  readonly append: A;
  readonly actual: number;
}

export interface BatchOutcome<A> {
  readonly rows: StoredRow[];
  /** With the position of each append's last event. */
  readonly written: { append: A; position: number }[];
  readonly lost: Lost<A>[];
}

const appendSql = 'select last_position, actual from log_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)';

/**
 * Sends appends to different streams as one transaction. Rejects as `runStatement` does; then none of them was written,
 * unless it is `UnknownOutcome`. `writer` names this process in the notice to the others; null where notices do not work
 * and connections share one session.
 */
export async function sendBatch<A extends EncodedAppend>(
  pool: pg.Pool,
  writer: string | null,
  batch: readonly A[],
): Promise<BatchOutcome<A>> {
  const [answer] = await runStatement<{ last_position: string | null; actual: (string | null)[] }>(pool, {
    ...(writer === null ? {} : { name: 'log_append' }),
    text: appendSql,
    values: parameters(batch, writer),
    deadlineMs: APPEND_MS,
  });
  if (answer === undefined) throw new UnknownOutcome('the database answered without a row');
  const written: A[] = [];
  const lost: Lost<A>[] = [];
  for (const [i, append] of batch.entries()) {
    const actual = answer.actual[i] ?? null;
    if (actual === null) written.push(append);
    else lost.push({ append, actual: Number(actual) });
  }
  const count = written.reduce((total, { events }) => total + events.length, 0);
  let position = Number(answer.last_position) - count;
  const rows: StoredRow[] = [];
  for (const { stream, expected, events } of written)
    for (const [i, event] of events.entries())
      rows.push({ ...event, stream, revision: expected + 1 + i, position: ++position });
  let end = position - count;
  return { rows, lost, written: written.map((append) => ({ append, position: (end += append.events.length) })) };
}

function parameters(batch: readonly EncodedAppend[], writer: string | null): unknown[] {
  const owners: number[] = [];
  const revisions: number[] = [];
  const events: StoredEvent[] = [];
  for (const [i, append] of batch.entries())
    for (const [j, event] of append.events.entries()) {
      owners.push(i + 1);
      revisions.push(append.expected + 1 + j);
      events.push(event);
    }
  const numbers = (values: readonly (number | string)[]): string => `{${values.join(',')}}`;
  const texts = (values: readonly string[]): string => values.join(SEPARATOR);
  return [
    texts(batch.map(({ stream }) => stream)),
    numbers(batch.map(({ expected }) => expected)),
    numbers(batch.map((append) => append.events.length)),
    numbers(owners),
    numbers(revisions),
    numbers(events.map(({ id }) => id)),
    texts(events.map(({ type }) => type)),
    numbers(events.map(({ schemaVersion }) => schemaVersion)),
    texts(events.map(({ data }) => data)),
    texts(events.map(({ metadata }) => metadata)),
    writer,
  ];
}

/** The revisions that an append is for. */
export function rangeOf({ stream, expected, events }: EncodedAppend): { stream: string; from: number; to: number } {
  return { stream, from: expected + 1, to: expected + events.length };
}

/** The first outcome of an append whose ids are those stored behind its expected revision; null when they are not. */
export function repeated(append: EncodedAppend, found: readonly RangeRow[]): Appended | null {
  const { from, to } = rangeOf(append);
  const stored = found.filter(({ stream, revision }) => stream === append.stream && revision >= from && revision <= to);
  const last = stored.at(-1);
  const same = stored.length === append.events.length && stored.every(({ id }, i) => id === append.events[i]?.id);
  return same && last !== undefined ? { revision: last.revision, position: BigInt(last.position) } : null;
}

/** A failure that lies in one of the appends: a value or a key that the tables refuse. */
export function isCulprits(error: unknown): error is pg.DatabaseError {
  return error instanceof pg.DatabaseError && /^2[23]/.test(error.code ?? '');
}
