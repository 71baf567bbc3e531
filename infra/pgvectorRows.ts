/** Passages as rows of a version's table, written and read by id. */
import type pg from 'pg';
import type { Vector } from '../domain/meaning/embedder.ts';
import { type IndexSpec, type Passage, passageKinds, type VectorObject } from '../domain/meaning/vectorIndex.ts';
import { vectorFault } from './pgvectorFault.ts';
import { COLUMNS, tableOf, type VectorDatabase, vectorType } from './pgvectorTables.ts';
import { runStatement } from './postgresQuery.ts';

const DEADLINE_MS = 30_000;
/** Objects written by one statement, vectors read by one, ids in a page or a deletion. */
const AT_ONCE = { objects: 250, vectors: 1_000, ids: 5_000 };
/** Objects written by one statement where all others wait for it: an index takes milliseconds for each. */
const AT_ONCE_EMBEDDED = 25;
const FIRST_ID = '00000000-0000-0000-0000-000000000000';

/** A version that is there. */
export interface Collection extends VectorDatabase {
  readonly version: number;
  readonly spec: IndexSpec;
}

/** A row as pg gives it. */
export interface PassageRow {
  passage_id: string;
  project: string;
  discussion_id: string;
  kind: string;
  agent_id: string | null;
  event_id: string;
  stream: string;
  revision: number;
  position: string;
  chunk: number;
  starts: number;
  ends: number;
  at: Date;
  text: string;
}

/** Writes objects that were checked, each id once; where one comes twice the last stands. */
export async function putRows(on: Collection, objects: readonly VectorObject[]): Promise<void> {
  const latest = [...new Map(objects.map((object) => [object.passage.passageId, object])).values()];
  const names = Object.keys(COLUMNS);
  const columns = [...names, 'embedding'].join(', ');
  const changes = [...names, 'embedding'].map((name) => `${name} = excluded.${name}`).join(', ');
  const types = [
    ...Object.entries(COLUMNS).map(([name, type]) => `${name} ${type}`),
    `embedding ${vectorType(on.spec)}`,
  ];
  // In order of id, so that two who put the same objects never wait for one another's rows.
  const text = `
    insert into ${tableOf(on.version)} as stored (${columns})
    select ${columns} from json_to_recordset($1::json) as given(${types.join(', ')}) order by passage_id
    on conflict (passage_id) do update set ${changes} where stored is distinct from excluded`;
  for (const some of parts(latest, on.embedded ? AT_ONCE_EMBEDDED : AT_ONCE.objects))
    await ask(on, text, [JSON.stringify(some.map(rowOf))]);
}

/** Deletes those that are there. */
export async function removeRows(on: Collection, passageIds: readonly string[]): Promise<void> {
  const text = `delete from ${tableOf(on.version)} where passage_id = any ($1::uuid[])`;
  for (const some of parts(passageIds, AT_ONCE.ids)) await ask(on, text, [some]);
}

/** Those that are there, by id. */
export async function vectorsOf(on: Collection, passageIds: readonly string[]): Promise<Map<string, Vector>> {
  const text = `select passage_id as id, embedding::text from ${tableOf(on.version)} where passage_id = any ($1::uuid[])`;
  const found = new Map<string, Vector>();
  for (const some of parts(passageIds, AT_ONCE.vectors))
    for (const row of await ask<{ id: string; embedding: string }>(on, text, [some]))
      found.set(row.id, row.embedding.slice(1, -1).split(',').map(Number));
  return found;
}

/** Those without a row, or whose row has another vector: an index never loses what its table holds. */
export async function unlikeRows(
  on: Collection,
  objects: readonly { readonly passageId: string; readonly vector: Vector }[],
): Promise<string[]> {
  const text = `
    select passage_id as id
    from json_to_recordset($1::json) as given(passage_id uuid, embedding ${vectorType(on.spec)})
    left join ${tableOf(on.version)} stored using (passage_id)
    where stored.embedding is distinct from given.embedding`;
  const unlike: string[] = [];
  for (const some of parts(objects, AT_ONCE.objects)) {
    const given = some.map(({ passageId, vector }) => ({ passage_id: passageId, embedding: vector }));
    const rows = await ask<{ id: string }>(on, text, [JSON.stringify(given)]);
    unlike.push(...rows.map(({ id }) => id));
  }
  return unlike;
}

/** All ids, a page at a time. */
export async function* listRows(on: Collection): AsyncGenerator<{ passageId: string; discussionId: string }[]> {
  const text = `
    select passage_id as "passageId", discussion_id as "discussionId" from ${tableOf(on.version)}
    where passage_id > $1::uuid order by passage_id limit ${AT_ONCE.ids}`;
  let after = FIRST_ID;
  for (;;) {
    const page = await ask<{ passageId: string; discussionId: string }>(on, text, [after]);
    const last = page.at(-1);
    if (last === undefined) return;
    yield page;
    after = last.passageId;
  }
}

/** The passage as it was put. */
export function passageOf(row: PassageRow): Passage {
  const kind = passageKinds.find((one) => one === row.kind) ?? 'message';
  return {
    ...{
      passageId: row.passage_id,
      project: row.project,
      discussionId: row.discussion_id,
      kind,
      agentId: row.agent_id,
    },
    ...{ eventId: row.event_id, stream: row.stream, revision: row.revision, position: row.position },
    ...{ chunk: row.chunk, starts: row.starts, ends: row.ends, at: row.at.toISOString(), text: row.text },
  };
}

function rowOf({ passage, vector }: VectorObject): Record<keyof PassageRow | 'embedding', unknown> {
  const { passageId, discussionId, agentId, eventId, ...same } = passage;
  const ids = { passage_id: passageId, discussion_id: discussionId, agent_id: agentId, event_id: eventId };
  return { ...same, ...ids, embedding: vector };
}

async function ask<R extends pg.QueryResultRow>(on: Collection, text: string, values: unknown[]): Promise<R[]> {
  return await runStatement<R>(on.pool, { text, values, deadlineMs: DEADLINE_MS }).catch((error: unknown) => {
    throw vectorFault(error, on.version);
  });
}

function* parts<T>(list: readonly T[], size: number): Generator<T[]> {
  for (let at = 0; at < list.length; at += size) yield list.slice(at, at + size);
}
