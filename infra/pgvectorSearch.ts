/** The nearest passages that pass a filter, by one statement that holds both. */
import type { Vector } from '../domain/meaning/embedder.ts';
import type { PassageFilter, PassageHit } from '../domain/meaning/vectorIndex.ts';
import { vectorFault } from './pgvectorFault.ts';
import { type Collection, passageOf, type PassageRow } from './pgvectorRows.ts';
import { COLUMNS, tableOf, vectorType } from './pgvectorTables.ts';
import { runStatement } from './postgresQuery.ts';

const DEADLINE_MS = 10_000;
/**
 * How many the index looks at, at least: more finds more of the nearest and takes longer. How many it hands out before a
 * filter that lets few through is left to an exact search. They stay on the connection, since a transaction around each
 * search took as long as the search (1.1 ms); nothing but a search of vectors minds them.
 */
const SETTINGS = `
set hnsw.iterative_scan = 'strict_order'; set hnsw.ef_search = 200; set hnsw.max_scan_tuples = 20000`;

/** What to look for; it was checked, and none of its lists is empty. */
export interface Wanted {
  readonly vector: Vector;
  readonly filter: PassageFilter;
  readonly limit: number;
}

type HitRow = PassageRow & { distance: number };

/**
 * Best first, of the same distance by id. When the index hands out too few, every vector that passes is compared: the
 * filter lets few through, or there are no more.
 */
export async function searchRows(on: Collection, { vector, filter, limit }: Wanted): Promise<PassageHit[]> {
  const values: unknown[] = [JSON.stringify(vector), limit];
  const passing = conditions(filter, (value) => `$${values.push(value)}`);
  const distance = `embedding <=> $1::${vectorType(on.spec)}`;
  const columns = Object.keys(COLUMNS).join(', ');
  const nearest = (order: string): string => `
    select * from (
      select ${columns}, ${distance} as distance from ${tableOf(on.version)}
      ${passing.length === 0 ? '' : `where ${passing.join(' and ')}`} order by ${order} limit $2
    ) nearest order by distance, passage_id`;
  const run = async (order: string): Promise<HitRow[]> =>
    await runStatement<HitRow>(on.pool, {
      text: nearest(order),
      values,
      deadlineMs: DEADLINE_MS,
      session: SETTINGS,
    }).catch((error: unknown) => {
      throw vectorFault(error, on.version);
    });
  const found = await run(distance);
  // No index is in the order of a sum.
  const rows = found.length < limit ? await run(`(${distance}) + 0, passage_id`) : found;
  return rows.map((row) => ({ passage: passageOf(row), score: Math.max(-1, Math.min(1, 1 - row.distance)) }));
}

/** @param param takes a value and gives its place in the statement. */
function conditions(filter: PassageFilter, param: (value: unknown) => string): string[] {
  const { projects, within, except = [], kinds, agentId, from, to } = filter;
  const all: string[] = [];
  if (projects !== null) all.push(`project = any (${param(projects)}::text[])`);
  if (within !== undefined) {
    const whole = within.filter(({ until }) => until === null).map(({ discussionId }) => discussionId);
    const some = within.flatMap(({ discussionId, until }) =>
      until === null ? [] : [`(discussion_id = ${param(discussionId)} and revision <= ${param(until)}::int8)`],
    );
    all.push(`(${[`discussion_id = any (${param(whole)}::text[])`, ...some].join(' or ')})`);
  }
  for (const { discussionId, from: first } of except)
    all.push(`not (discussion_id = ${param(discussionId)} and revision >= ${param(first)}::int8)`);
  if (kinds !== undefined) all.push(`kind = any (${param(kinds)}::text[])`);
  if (agentId !== undefined) all.push(`agent_id = ${param(agentId)}`);
  if (from !== undefined) all.push(`at >= ${param(from)}::timestamptz`);
  if (to !== undefined) all.push(`at < ${param(to)}::timestamptz`);
  return all;
}
