/** The VectorIndex port: a table per version beside the read models, on a server or embedded. */
import { checkIds, checkObjects, checkVector, checkWanted, findsNothing } from '../domain/meaning/checkVectors.ts';
import type { IndexSpec, VectorIndex } from '../domain/meaning/vectorIndex.ts';
import { Refusal } from '../domain/refusal.ts';
import { pgvectorCheck } from './pgvectorExtension.ts';
import { type Collection, listRows, putRows, removeRows, unlikeRows, vectorsOf } from './pgvectorRows.ts';
import { searchRows } from './pgvectorSearch.ts';
import {
  completeTable,
  createTable,
  dropTable,
  readSpec,
  tableVersions,
  type VectorDatabase,
} from './pgvectorTables.ts';

/**
 * Tables `embeddings_vectors_v<n>` in the database of the pool, which the caller closes. Without pgvector 0.8 every call
 * rejects with `Refusal('unavailable')`, not retryable. PostgreSQL loses nothing it has confirmed, so `incarnation` is
 * null and there is nothing to watch.
 */
export function createPgvector({ pool, embedded }: VectorDatabase): VectorIndex {
  const ready = pgvectorCheck(pool);
  const { use, forget } = collections({ pool, embedded }, ready);
  return {
    store: 'pgvector',
    async create(version, spec) {
      await ready();
      await createTable({ pool, embedded }, version, spec);
    },
    async describe(version) {
      await ready();
      return await readSpec(pool, version);
    },
    async put(version, objects) {
      await use(version, async (on) => {
        checkObjects(objects, on.spec.dimensions);
        await putRows(on, objects);
      });
    },
    async remove(version, passageIds) {
      checkIds(passageIds);
      await use(version, (on) => removeRows(on, passageIds));
    },
    async vectors(version, passageIds) {
      checkIds(passageIds);
      return await use(version, (on) => vectorsOf(on, passageIds));
    },
    async unfindable(version, objects) {
      checkIds(objects.map(({ passageId }) => passageId));
      return await use(version, async (on) => {
        for (const { vector } of objects) checkVector(vector, on.spec.dimensions);
        return await unlikeRows(on, objects);
      });
    },
    async *list(version) {
      yield* listRows(await use(version, (on) => Promise.resolve(on)));
    },
    async search(version, wanted, { signal }) {
      signal.throwIfAborted();
      const work = use(version, async (on) => {
        checkWanted(wanted, on.spec.dimensions);
        return findsNothing(wanted.filter) ? [] : await searchRows(on, wanted);
      });
      return await unlessAborted(work, signal);
    },
    complete: (version) => use(version, (on) => completeTable(pool, version, on.spec)),
    async drop(version) {
      await ready();
      forget(version);
      await dropTable(pool, version);
    },
    async versions() {
      await ready();
      return await tableVersions(pool);
    },
    incarnation: () => Promise.resolve(null),
    watch: () => undefined,
    close: () => Promise.resolve(),
  };
}

interface Collections {
  /** Rejects with `Refusal('conflict')` when there is no such collection. */
  use<T>(this: void, version: number, work: (on: Collection) => Promise<T>): Promise<T>;
  forget(this: void, version: number): void;
}

/** What the collections hold is asked for once. */
function collections(database: VectorDatabase, ready: () => Promise<void>): Collections {
  const specs = new Map<number, IndexSpec>();
  return {
    async use(version, work) {
      await ready();
      const spec = specs.get(version) ?? (await readSpec(database.pool, version));
      if (spec === null)
        throw new Refusal('conflict', `the collection of version ${version} is gone: rebuild the embeddings`);
      specs.set(version, spec);
      return await work({ ...database, version, spec }).catch((error: unknown) => {
        // It may have been made anew for another model.
        specs.delete(version);
        throw error;
      });
    },
    forget: (version) => void specs.delete(version),
  };
}

/** The statement under way ends by itself within its deadline, and its connection is free again. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let leave = (): void => undefined;
  const aborted = new Promise<void>((resolve) => {
    leave = resolve;
    signal.addEventListener('abort', leave, { once: true });
  });
  const first = Promise.race([work, aborted.then(() => signal.throwIfAborted())]);
  await first.finally(() => signal.removeEventListener('abort', leave));
  return await work;
}
