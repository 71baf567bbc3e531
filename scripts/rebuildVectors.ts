/** What rebuilds and comparisons of vectors do beside those of tables. */
import { Refusal } from '../domain/refusal.ts';
import { systemClock } from '../infra/system.ts';
import { copyRows } from '../infra/postgresCopy.ts';
import type { Diff } from '../projections/diff.ts';
import { ledger } from '../projections/embeddings.ts';
import { passages } from '../projections/passages.ts';
import type { RebuildProgress } from '../projections/rebuild/rebuild.ts';
import type { EventSource } from '../projections/rebuild/source.ts';
import type { BuildTarget } from '../projections/rebuild/target.ts';
import type { Claim } from '../projections/rebuild/version.ts';
import { liveView, tableName } from '../projections/tables.ts';
import { diffVectors } from '../projections/vectors/diff.ts';
import { vectorsTarget } from '../projections/vectors/target.ts';
import { openVersion } from '../projections/vectors/versions.ts';
import { placeOf } from '../projections/vectors/indexes.ts';
import type { TaskContext } from './rebuildTask.ts';

/** For a batch under way to get from the index to the ledger. */
const UNDER_WAY_MS = 1_000;

/** The target of a rebuild of vectors, and its progress in passages. */
export async function openVectors(
  claim: Claim,
  source: EventSource,
  context: TaskContext,
): Promise<{ target: BuildTarget; report: TaskContext['report'] }> {
  const { database, store, signal, meaning } = context;
  const { knex } = database;
  const count = async (table: string) =>
    Number((await knex.raw<{ rows: { n: string }[] }>(`select count(*)::text as n from ${table}`)).rows[0]?.n ?? 0);
  let done = await count(tableName(ledger, claim.version));
  // A read model of the same passages says how many there are. Without it progress has no end in sight, nothing worse.
  const total = await count(liveView(passages, { name: passages.name })).catch(() => 0);
  const copy = database.embedded ? null : copyRows;
  const target = vectorsTarget({
    ...{ knex, store, clock: systemClock, source, claim, copy, signal },
    ...meaning,
    onEmbedded: (embedded) => void (done += embedded),
  });
  return { target, report: ({ note }) => context.report({ done, total: Math.max(total, done), note }) };
}

/** Adds to a comparison of the ledger what the index itself holds. */
export async function withVectors(found: Diff, repair: boolean, context: TaskContext): Promise<Diff> {
  const { database, store, signal, report, meaning } = context;
  const { knex } = database;
  const { version } = found;
  const place = await placeOf(knex, version);
  if (place === 0n) return found;
  const opened = await openVersion({ ...meaning, knex, store }, version, { place, signal });
  if (opened.gone)
    throw new Refusal(
      'conflict',
      'the vectors are gone from their store: the embedder embeds all of them again by itself',
    );
  const total = found.tables.find(({ table }) => table === ledger.name)?.rows ?? 0;
  let done = 0;
  const { repaired, ...vectors } = await diffVectors(opened, {
    repair,
    signal,
    wait: () => systemClock.sleep(UNDER_WAY_MS, signal),
    onPage(passages) {
      done += passages;
      const progress: RebuildProgress = { done, total: Math.max(total, done), note: 'searching each by its vector' };
      report(progress);
      return Promise.resolve();
    },
  });
  const equal = found.equal && vectors.differing === 0;
  return { ...found, equal, tables: [...found.tables, vectors], ...(repair ? { repaired } : {}) };
}
