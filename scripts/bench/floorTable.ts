/** The raw floor of writing: a table like the log's, written by plain statements. */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import type { Place } from './place.ts';

/** What a floor writes: texts ready as they are. */
export interface RawEvent {
  readonly stream: string;
  readonly type: string;
  readonly data: string;
  readonly metadata: string;
}

export interface FloorTable {
  /** One transaction with these events, a prepared statement each (several in one by `begin` and `commit`). */
  write(events: readonly RawEvent[]): Promise<void>;
  /** One transaction, one unnest. */
  writeMany(events: readonly RawEvent[]): Promise<void>;
  close(): Promise<void>;
}

const tableSql = `create table if not exists floor_events (
  position bigserial primary key, stream text collate "C" not null, revision bigint not null,
  id uuid not null unique, type text not null, schema_version int not null, data text not null, metadata text not null,
  unique (stream, revision))`;
const oneSql =
  'insert into floor_events (stream, revision, id, type, schema_version, data, metadata) values ($1, $2, $3, $4, $5, $6, $7)';
const manySql = `insert into floor_events (stream, revision, id, type, schema_version, data, metadata)
  select * from unnest($1::text[], $2::bigint[], $3::uuid[], $4::text[], $5::int[], $6::text[], $7::text[])`;

/**
 * @param shared the pool of the log, used when embedded: PGlite has one session.
 * @param connections of a pool of its own, on a server.
 */
export async function openFloorTable(place: Place, shared: pg.Pool, connections: number): Promise<FloorTable> {
  const own = place.url === null ? null : new pg.Pool({ connectionString: place.url, max: connections });
  own?.on('error', () => undefined);
  const pool = own ?? shared;
  await pool.query(tableSql);
  // Connections of PGlite share one session, in which a name can stand for one statement only.
  const named = (name: string) => (own === null ? {} : { name });
  let revision = 0;
  const values = ({ stream, type, data, metadata }: RawEvent) => [
    stream,
    (revision += 1),
    randomUUID(),
    type,
    1,
    data,
    metadata,
  ];
  return {
    async write(events) {
      const [first] = events;
      if (events.length === 1 && first !== undefined)
        return void (await pool.query({ ...named('one'), text: oneSql, values: values(first) }));
      const client = await pool.connect();
      try {
        await client.query('begin');
        for (const event of events) await client.query({ ...named('one'), text: oneSql, values: values(event) });
        await client.query('commit');
      } finally {
        client.release();
      }
    },
    async writeMany(events) {
      const rows = events.map(values);
      const columns = [0, 1, 2, 3, 4, 5, 6].map((i) => rows.map((row) => row[i]));
      await pool.query({ ...named('many'), text: manySql, values: columns });
    },
    close: async () => void (await own?.end()),
  };
}
