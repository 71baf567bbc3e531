/** Verifies a version that was built: what its tables hold, read again, against what the log says. */
import type { Knex } from 'knex';
import type { Row, Table } from '../projection.ts';
import { createSums, rowPages, sameRow, type Sums } from './checksum.ts';
import { foldAll } from './fold.ts';
import type { EventSource } from './source.ts';
import type { Tally } from './tally.ts';
import type { Verified } from './target.ts';
import type { Claim } from './version.ts';
import { skippedOf } from '../skippedEvents.ts';

export interface VerifyOptions {
  readonly knex: Knex;
  readonly claim: Claim;
  readonly source: EventSource;
  /** Taken instead of a second fold of the whole log; null where there is none. */
  readonly tally: Tally | null;
  /** Told how many events were folded since it was called last; may rest, or throw to end it. */
  readonly onPage: (events: number) => Promise<void>;
}

/** What every table must hold. */
interface Expected {
  sums(table: Table): Sums;
  /** Rows that are compared one by one. */
  sample(table: Table): ReadonlyMap<string, Row>;
}

/**
 * Compares all rows by sums, and those of a sample one by one.
 * @param to the position up to which the version was built. @param events how many there are, about.
 * @throws Error that names the table which does not hold what the log says.
 */
export async function verifyTables(options: VerifyOptions, to: bigint, events: number): Promise<Verified[]> {
  const { knex, claim, tally } = options;
  const { projection } = claim;
  const skipped = await skippedOf(knex, projection.name);
  const tallied = tally !== null && isSame(tally.skipped, skipped);
  const expected = tallied ? tally : await foldedAgain(options, { to, events, skipped });
  const verified: Verified[] = [];
  for (const table of projection.tables) verified.push(await verifyTable(options, table, expected));
  return verified;
}

async function foldedAgain(
  { knex, claim, source, onPage }: VerifyOptions,
  { to, events, skipped }: { to: bigint; events: number; skipped: ReadonlySet<string> },
): Promise<Expected> {
  const { projection, version } = claim;
  const found = await knex('dead_letters')
    .where({ projection: projection.name, version, parks: true })
    .select<{ stream: string; event_id: string }[]>('stream', 'event_id');
  const letters = new Map(found.map(({ stream, event_id: id }) => [stream, id]));
  const sums = new Map<string, Sums>(projection.tables.map((table) => [table.name, createSums(table, 1)]));
  await foldAll({ projection, source, to, events, onPage, skipped, letters }, (table, row) =>
    sums.get(table.name)?.add(String(row[table.key]), row),
  );
  return { sums: (table) => sums.get(table.name) ?? createSums(table, 1), sample: () => new Map() };
}

async function verifyTable(
  { knex, claim, onPage }: VerifyOptions,
  table: Table,
  expected: Expected,
): Promise<Verified> {
  const { version } = claim;
  const actual = createSums(table, 1);
  const sample = expected.sample(table);
  const unlike: string[] = [];
  let seen = 0;
  for await (const rows of rowPages(knex, table, version)) {
    for (const row of rows) {
      const key = String(row[table.key]);
      actual.add(key, row);
      const wanted = sample.get(key);
      if (wanted === undefined) continue;
      seen += 1;
      if (!sameRow(table, wanted, row)) unlike.push(key);
    }
    await onPage(0);
  }
  const { count: rows, checksum } = expected.sums(table);
  const name = `table ${table.name} of version ${version}`;
  if (rows !== actual.count || checksum !== actual.checksum)
    throw new Error(
      `${name} holds ${actual.count} rows (checksum ${actual.checksum}), the log says ${rows} (${checksum})`,
    );
  if (unlike[0] !== undefined) throw new Error(`${name}: row ${unlike[0]} is not what its events say`);
  if (seen !== sample.size) throw new Error(`${name} lacks ${sample.size - seen} rows of its events`);
  return { table: table.name, rows, checksum };
}

function isSame(one: ReadonlySet<string>, other: ReadonlySet<string>): boolean {
  return one.size === other.size && [...one].every((id) => other.has(id));
}
