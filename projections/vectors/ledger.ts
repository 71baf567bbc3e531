/** What an index of vectors must hold, as the ledger says, and the passages themselves, read from the log again. */
import type { Knex } from 'knex';
import type { Passage } from '../../domain/meaning/vectorIndex.ts';
import type { EventStore } from '../../domain/ports.ts';
import { embeddedParticipants, ledger, passagesOf, type LedgerRow } from '../embeddings.ts';
import { knownEvent } from '../fold.ts';
import type { Row, Table } from '../projection.ts';
import { loadRows } from '../rebuild/write.ts';
import { decodeRow, selectList, tableName } from '../tables.ts';

const PAGE_ROWS = 500;
const QUERY_MS = 20_000;

export interface LedgerRange {
  readonly version: number;
  /** Exclusive. */
  readonly after: bigint;
  /** Inclusive. */
  readonly to: bigint;
}

/** Rows of the ledger in log order, without those whose event could not be embedded: their letters say so. */
export async function* ledgerPages(knex: Knex, range: LedgerRange): AsyncIterable<readonly LedgerRow[]> {
  const { version, after, to } = range;
  let [position, passageId] = [after.toString(), '\uffff'];
  for (;;) {
    const { rows } = await knex
      .raw<{ rows: Record<string, unknown>[] }>(
        `select ${selectList(ledger, 'l')} from ${tableName(ledger, version)} l
         where (l.position, l.passage_id) > (?::bigint, ?) and l.position <= ?::bigint
           and not exists (select from dead_letters d where d.projection = 'embeddings' and d.version = ?
             and d.event_id = l.event_id::uuid)
         order by l.position, l.passage_id limit ?`,
        [position, passageId, to.toString(), version, PAGE_ROWS],
      )
      .timeout(QUERY_MS);
    const page = rows.map((raw) => decodeRow(ledger, raw));
    const last = page.at(-1);
    if (last === undefined) return;
    yield page;
    ({ position, passageId } = last);
  }
}

/** The passages of ledger rows, from the log. Those that it does not have (any more) are left out. */
export async function passagesFromLog(
  { knex, store, version }: { readonly knex: Knex; readonly store: EventStore; readonly version: number },
  rows: readonly LedgerRow[],
): Promise<Passage[]> {
  const wanted = new Set(rows.map((row) => row.passageId));
  const events = new Map(rows.map((row) => [row.eventId, row]));
  const passages: Passage[] = [];
  for (const { stream, revision } of events.values())
    for await (const recorded of store.read(stream, { from: revision, limit: 1 })) {
      const event = knownEvent(recorded);
      if (event === null) continue;
      const keys = (ledger.readsOf?.(event) ?? []).map(({ key }) => key);
      const found = new Map(
        (await loadRows(knex, embeddedParticipants, version, keys)).map((row) => [String(row['key']), row]),
      );
      const lookup = <R extends Row>(_: Table<R>, key: string) => (found.get(key) ?? null) as R | null;
      passages.push(...passagesOf(event, lookup).filter(({ passageId }) => wanted.has(passageId)));
    }
  return passages;
}
