/** Writes a log of a backup into the tables of migration 001, and marks the database while it does. */
import type { Knex } from 'knex';
import type { StoredRecord } from '../domain/codec.ts';
import { Refusal } from '../domain/refusal.ts';
import { copyRows } from './postgresCopy.ts';

const BATCH_MS = 120_000;
const COLUMNS = 'position, stream, revision, id, type, schema_version, data, metadata';

/** The backup whose restore is under way or was interrupted; null for none. */
export async function restoreUnderWay(knex: Knex): Promise<string | null> {
  const row = await knex<{ backup: string }>('log_restore').first('backup');
  return row?.backup ?? null;
}

/** @throws Refusal `conflict`, which says what to do, while a restore of this database is not finished. */
export async function refuseHalfRestored(knex: Knex): Promise<void> {
  const backup = await restoreUnderWay(knex);
  if (backup === null) return;
  throw new Refusal(
    'conflict',
    `restore incomplete: backup ${backup} was being restored into this database. Run \`colloquy backup restore ${backup}\` again to go on, or with --restart to empty it and begin anew`,
  );
}

/** From here on no service starts on the database. */
export async function markRestore(knex: Knex, backup: string): Promise<void> {
  await knex('log_restore').insert({ backup }).onConflict('single').merge(['backup']);
}

/** The log is whole. */
export async function unmarkRestore(knex: Knex): Promise<void> {
  await knex('log_restore').delete();
}

/** Empties the log, of a marked database only. */
export async function emptyLog(knex: Knex): Promise<void> {
  await knex.transaction(async (trx) => {
    if ((await restoreUnderWay(trx)) === null) throw new Error('only a half restored log is ever emptied');
    await trx.raw('truncate events, streams');
    await trx('log_head').update({ position: 0 });
  });
}

/** Position of the last event; streams without events count as 1, so that only a new log is empty. */
export async function logPosition(knex: Knex): Promise<number> {
  const { rows } = await knex.raw<{ rows: { position: string }[] }>(
    `select greatest(position, (select max(position) from events), (select 1 from streams limit 1))::text as position
     from log_head`,
  );
  return Number(rows[0]?.position ?? 0);
}

/** Gives the log its lineage. */
export async function setLineage(knex: Knex, lineage: string): Promise<void> {
  await knex('log_head').update({ lineage });
}

/** Events that follow the head without a gap, in one transaction: afterwards all of them are there, or none. */
export async function writeEvents(knex: Knex, events: readonly StoredRecord[], embedded: boolean): Promise<void> {
  const last = events.at(-1);
  if (last === undefined) return;
  await knex.transaction(async (trx) => {
    if (!embedded) await trx.raw(`set local statement_timeout = ${BATCH_MS}`);
    await (embedded ? insertEvents(trx, events) : copyRows(trx, `events (${COLUMNS})`, lines(events)));
    const revisions = new Map(events.map(({ stream, revision }) => [stream, revision]));
    await trx
      .raw(
        `insert into streams select * from unnest(?::text[], ?::bigint[])
         on conflict (stream) do update set revision = excluded.revision`,
        [[...revisions.keys()], [...revisions.values()]],
      )
      .timeout(BATCH_MS);
    await trx('log_head').update({ position: String(last.position) });
  });
}

async function insertEvents(trx: Knex, events: readonly StoredRecord[]): Promise<void> {
  const column = <K extends keyof StoredRecord>(name: K) => events.map((event) => event[name]);
  await trx
    .raw(
      `insert into events (${COLUMNS}) select * from unnest(?::bigint[], ?::text[], ?::bigint[], ?::uuid[], ?::text[],
         ?::int[], ?::text[], ?::text[])`,
      [
        column('position').map(String),
        column('stream'),
        column('revision'),
        column('id'),
        column('type'),
        column('schemaVersion'),
        column('data'),
        column('metadata'),
      ],
    )
    .timeout(BATCH_MS);
}

function* lines(events: readonly StoredRecord[]): Generator<string> {
  for (const { position, stream, revision, id, type, schemaVersion, data, metadata } of events)
    yield `${position}\t${stream}\t${revision}\t${id}\t${type}\t${schemaVersion}\t${escaped(data)}\t${escaped(metadata)}\n`;
}

/** COPY's text format: canonical JSON holds backslashes often, bare control characters never, but a text may be anything. */
function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r').replaceAll('\t', '\\t');
}
