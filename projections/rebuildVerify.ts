/** Verifies a version that was built: what its tables hold, read again, against a fold of the log that knows nothing of them. */
import type { Knex } from 'knex';
import type { Projection, Table } from './projection.ts';
import { createSums, rowPages, type Sums } from './rebuildChecksum.ts';
import { foldAll } from './rebuildFold.ts';
import type { EventSource } from './rebuildSource.ts';
import type { Verified } from './rebuildTarget.ts';
import type { Claim } from './rebuildVersion.ts';
import { skippedOf } from './skippedEvents.ts';

/** What a fold follows from. Can be sent to a thread. */
export interface FoldRequest {
  /** Folded up to this position, inclusive. */
  readonly to: string;
  /** Events there are, about. */
  readonly events: number;
  /** Ids of events that are passed over. */
  readonly skipped: readonly string[];
  /** Streams that wait, each with the id of the event that they wait behind. */
  readonly letters: readonly (readonly [string, string])[];
}

/** A fold that was begun with the building and is made elsewhere meanwhile. */
export interface FoldAhead {
  readonly request: FoldRequest;
  readonly sums: Promise<Verified[]>;
}

/** Told how many events were folded since it was called last; may rest, or throw to end it. */
export type OnPage = (events: number) => Promise<void>;

/** The request for a fold up to a position, with the dead letters and skipped events that are known now. */
export async function foldRequest(
  knex: Knex,
  { projection, version }: Claim,
  to: bigint,
  events: number,
): Promise<FoldRequest> {
  const letters = await knex('dead_letters')
    .where({ projection: projection.name, version, parks: true })
    .orderBy('stream')
    .select<{ stream: string; event_id: string }[]>('stream', 'event_id');
  const skipped = [...(await skippedOf(knex, projection.name))].sort();
  return { to: to.toString(), events, skipped, letters: letters.map(({ stream, event_id: id }) => [stream, id]) };
}

/** What every table must hold, from the log alone. */
export async function foldSums(
  projection: Projection,
  source: EventSource,
  { to, events, skipped, letters }: FoldRequest,
  onPage: OnPage,
): Promise<Verified[]> {
  const sums = new Map<Table, Sums>(projection.tables.map((table) => [table, createSums(table, 1)]));
  await foldAll(
    { projection, source, to: BigInt(to), events, onPage, skipped: new Set(skipped), letters: new Map(letters) },
    (table, row) => sums.get(table)?.add(String(row[table.key]), row),
  );
  return [...sums].map(([table, { count, checksum }]) => ({ table: table.name, rows: count, checksum }));
}

export interface VerifyOptions {
  readonly knex: Knex;
  readonly claim: Claim;
  readonly source: EventSource;
  /** Taken when it is about the very same. */
  readonly ahead?: FoldAhead | undefined;
  readonly onPage: OnPage;
}

/** @throws Error that names the table which does not hold what the log says. */
export async function verifyTables(options: VerifyOptions, to: bigint, events: number): Promise<Verified[]> {
  const { knex, claim, source, onPage } = options;
  const { projection, version } = claim;
  const expected =
    (await foldedAhead(options, to)) ??
    (await foldSums(projection, source, await foldRequest(knex, claim, to, events), onPage));
  for (const table of projection.tables) {
    const actual = createSums(table, 1);
    for await (const rows of rowPages(knex, table, version)) {
      for (const row of rows) actual.add(String(row[table.key]), row);
      await onPage(0);
    }
    const { rows = 0, checksum = '' } = expected.find((each) => each.table === table.name) ?? {};
    if (rows !== actual.count || checksum !== actual.checksum)
      throw new Error(
        `table ${table.name} of version ${version} holds ${actual.count} rows (checksum ${actual.checksum}), the log says ${rows} (${checksum})`,
      );
  }
  return expected;
}

/** Null when there is none, when it failed, and when it was told of other events than are left out now. */
async function foldedAhead({ knex, claim, ahead, onPage }: VerifyOptions, to: bigint) {
  if (ahead === undefined) return null;
  const { request } = ahead;
  const wanted = await foldRequest(knex, claim, to, request.events);
  if (JSON.stringify(wanted) !== JSON.stringify(request)) return null;
  await onPage(0);
  return ahead.sums.catch(() => null);
}
