/** Streams that a read model could not go on with, and the events that operators had it pass over. */
import type { Knex } from 'knex';

/** `waiting`: its stream is parked behind it. `skipped`: the event was passed over, for good. */
export type LetterStatus = 'waiting' | 'skipped';

export type DeadLetter = {
  readonly id: string;
  readonly projection: string;
  readonly version: number;
  /** Whether that version is what queries read; of an older one's letters nothing comes any more. */
  readonly live: boolean;
  readonly status: LetterStatus;
  readonly stream: string;
  readonly position: string;
  readonly eventId: string;
  readonly type: string;
  readonly error: string;
  readonly attempts: number;
  /** Events of the stream that wait behind it. */
  readonly laterEvents: number;
  readonly firstAt: string;
  readonly lastAt: string;
  readonly skipped: { readonly by: string; readonly reason: string; readonly at: string } | null;
};

export interface LetterFilter {
  readonly status?: LetterStatus | undefined;
  readonly projection?: string | undefined;
  readonly offset?: number;
  readonly limit: number;
}

/** Letters of the live read models, for gauges. */
export interface LetterSample {
  readonly letters: number;
  /** Age of the oldest by the database's clock, 0 when there is none. */
  readonly oldestSeconds: number;
}

const QUERY_MS = 10_000;

const ALL = `
  (select d.id, d.projection, d.version, 'waiting' as status, d.stream, d.position, d.event_id, d.type, d.error,
     d.attempts, d.later_events, d.first_at, d.last_at, null as skipped_by, null as reason, null as skipped_at
   from dead_letters d
   union all
   select s.id, s.projection, s.version, 'skipped', s.stream, s.position, s.event_id, s.type, s.error,
     s.attempts, 0, s.first_at, s.skipped_at, s.skipped_by, s.reason, s.skipped_at
   from skipped_events s)`;

interface LetterRow {
  id: string;
  projection: string;
  version: number;
  live: boolean;
  status: LetterStatus;
  stream: string;
  position: string;
  event_id: string;
  type: string;
  error: string;
  attempts: number;
  later_events: string;
  first_at: Date;
  last_at: Date;
  skipped_by: string | null;
  reason: string | null;
  skipped_at: Date | null;
}

/** Queries of dead letters, of all read models. */
export function deadLetterQueries(knex: Knex) {
  const select = async (where: string, bindings: (string | number)[]): Promise<DeadLetter[]> => {
    const result = await knex
      .raw<{ rows: LetterRow[] }>(
        `select l.*, l.position::text as position, l.later_events::text as later_events, exists (select from projections p
           where p.name = l.projection and p.version = l.version and p.status = 'live') as live
         from ${ALL} l ${where}`,
        bindings,
      )
      .timeout(QUERY_MS);
    return result.rows.map(shown);
  };
  return {
    /** In log order. */
    list({ status, projection, offset = 0, limit }: LetterFilter): Promise<DeadLetter[]> {
      const wanted = { 'l.status': status, 'l.projection': projection };
      const given = Object.entries(wanted).filter((each): each is [string, string] => each[1] !== undefined);
      const where = ['true', ...given.map(([column]) => `${column} = ?`)].join(' and ');
      return select(`where ${where} order by l.position, l.projection, l.version limit ? offset ?`, [
        ...given.map(([, value]) => value),
        limit,
        offset,
      ]);
    },

    async one(id: string): Promise<DeadLetter | null> {
      const [letter] = await select('where l.id = ?', [id]);
      return letter ?? null;
    },

    /** Whether a letter of this id was solved by trying its event again. */
    async wasSolved(id: string): Promise<boolean> {
      return (await knex('solved_letters').where({ id }).first('id').timeout(QUERY_MS)) !== undefined;
    },
  };
}

/** How many streams wait behind letters of the versions that queries read, and for how long. */
export async function sampleLetters(knex: Knex): Promise<LetterSample> {
  const result = await knex
    .raw<{ rows: { letters: string; seconds: string | null }[] }>(
      `select count(*)::text as letters, extract(epoch from clock_timestamp() - min(d.first_at))::text as seconds
       from dead_letters d join projections p on p.name = d.projection and p.version = d.version and p.status = 'live'`,
    )
    .timeout(QUERY_MS);
  const [row] = result.rows;
  return { letters: Number(row?.letters ?? 0), oldestSeconds: Math.max(0, Number(row?.seconds ?? 0)) };
}

function shown(row: LetterRow): DeadLetter {
  const { skipped_by: by, reason, skipped_at: at } = row;
  return {
    id: row.id,
    projection: row.projection,
    version: row.version,
    live: row.live,
    status: row.status,
    stream: row.stream,
    position: row.position,
    eventId: row.event_id,
    type: row.type,
    error: row.error,
    attempts: row.attempts,
    laterEvents: Number(row.later_events),
    firstAt: new Date(row.first_at).toISOString(),
    lastAt: new Date(row.last_at).toISOString(),
    skipped: by === null || reason === null || at === null ? null : { by, reason, at: new Date(at).toISOString() },
  };
}
