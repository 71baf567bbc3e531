/** Rows about what a byte of text takes on the disk. */
import type { Knex } from 'knex';
import { startBench, type Bench } from './discussions.ts';
import { atMost, type Report } from './measure.ts';
import type { Place } from './place.ts';
import { readModels } from '../../projections/readModels.ts';

const TURNS = 600;
const ANSWER_CHARS = 2_000;
const READ_MS = 30_000;

interface Sizes {
  readonly log: number;
  readonly everything: number;
}

/** A discussion of 300 turns, then one of 600, with answers of 2 kB; floor: a table of the 600 bare texts. */
export async function storageRows(place: Place, report: Report): Promise<void> {
  const bench = await startBench(place, ANSWER_CHARS);
  const { knex } = bench.running.storage.database;
  try {
    await bench.hold(1, 1);
    const start = await sizes(bench, knex);
    await bench.hold(1, TURNS / 2);
    const short = await sizes(bench, knex);
    await bench.hold(1, TURNS);
    const long = await sizes(bench, knex);
    const text = TURNS * ANSWER_CHARS;
    const floor = (await bareTexts(knex)) / text;
    const row = (which: keyof Sizes) => {
      const ours = (long[which] - short[which]) / text;
      const growth = (long[which] - short[which]) / (short[which] - start[which]);
      const note = `600 turns take ${growth.toFixed(2)} × what 300 take`;
      return { unit: 'bytes a byte', ours, floor, ratio: ours / floor, note };
    };
    await report('storage: log tables, 600 turns of 2 kB', async () => {
      const log = row('log');
      return { ...log, target: atMost(2, '', log.ours) };
    });
    await report('storage: with indexes and read models', async () => row('everything'));
  } finally {
    await bench.stop();
  }
}

/** Bytes once the read models have seen everything and dead rows are gone. */
async function sizes(bench: Bench, knex: Knex): Promise<Sizes> {
  const { engine, reads } = bench.running;
  const names = readModels.map(({ name }) => name);
  const { signal } = new AbortController();
  if (!(await reads.waitFor(await engine.store.head(), names, { timeoutMs: READ_MS, signal })))
    throw new Error('the read models did not catch up');
  await knex.raw('vacuum');
  const { rows } = await knex.raw<{ rows: { log: string; everything: string }[] }>(`
    select sum(pg_table_size(c.oid)) filter (where relname in ('events', 'streams', 'log_head')) as log,
      sum(pg_total_relation_size(c.oid)) as everything
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where nspname = 'public' and relkind = 'r'`);
  return { log: Number(rows[0]?.log), everything: Number(rows[0]?.everything) };
}

/** Bytes of a table that holds the answers of the last discussion and nothing else. */
async function bareTexts(knex: Knex): Promise<number> {
  await knex.raw(`create table floor_texts as
    select revision, data::json #>> '{content,0,text}' as text from events
    where type = 'TurnCompleted' and stream = (select stream from events order by position desc limit 1)`);
  const { rows } = await knex.raw<{ rows: { bytes: string }[] }>(`select pg_table_size('floor_texts') as bytes`);
  return Number(rows[0]?.bytes);
}
