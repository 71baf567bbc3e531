/** The VectorIndex port on Weaviate: a class for each version, vectors from outside. */
import { checkIds, checkObjects, checkVector, checkWanted, findsNothing } from '../domain/meaning/checkVectors.ts';
import type { VectorIndex } from '../domain/meaning/vectorIndex.ts';
import type { Clock } from '../domain/ports.ts';
import { type WeaviateClasses, weaviateClasses } from './weaviateClass.ts';
import { refuseAutoSchema, weaviateFacts, weaviateIncarnation, weaviateReady } from './weaviateHealth.ts';
import { pageOfObjects, putObjects, removeObjects, type StoredId, vectorsOf } from './weaviateObjects.ts';
import { searchObjects, unfindableObjects } from './weaviateSearch.ts';
import { createWeaviateTransport, type WeaviateLimits, type WeaviateTransport } from './weaviateTransport.ts';
import { watchWeaviate } from './weaviateWatch.ts';

export interface WeaviateOptions {
  /** `http://host:8080` or `https://…`. */
  readonly url: string;
  readonly apiKey?: string | undefined;
  /** Of the log: installations may share a server. */
  readonly lineage: string;
  readonly clock: Clock;
  readonly limits?: WeaviateLimits;
}

export interface WeaviateIndex extends VectorIndex {
  /**
   * The server's version. Rejects within seconds with `Refusal('unavailable')`, saying what to do, when it is not ready,
   * refuses the key, or would make up classes (AUTOSCHEMA_ENABLED).
   */
  check(): Promise<{ version: string }>;
}

/**
 * Nothing is sent before the first call. Writes are refused until `check` was passed once; a rejected one may have been
 * carried out. At most 8 requests run at once, each has a deadline.
 * @throws Refusal `invalid` when the URL or the key cannot be used.
 */
export function createWeaviate(options: WeaviateOptions): WeaviateIndex {
  const { url, apiKey, lineage, clock } = options;
  const transport = createWeaviateTransport({ url, apiKey, clock, limits: options.limits });
  const classes = weaviateClasses(transport, lineage, () => weaviateReady(transport));
  let checked: Promise<{ version: string }> | null = null;
  const check = async (): Promise<{ version: string }> => {
    const facts = await weaviateFacts(transport);
    refuseAutoSchema(facts);
    return { version: facts.version };
  };
  const usable = async (): Promise<void> => {
    checked ??= check();
    await checked.catch((error: unknown) => {
      checked = null;
      throw error;
    });
  };
  const parts = { transport, classes, usable };
  return {
    store: 'weaviate',
    check,
    ...writingTo(parts),
    ...readingFrom(parts),
    describe: (version) => classes.describe(version),
    drop: (version) => classes.drop(version),
    versions: () => classes.versions(),
    incarnation: weaviateIncarnation(transport),
    watch(onLost, signal) {
      watchWeaviate({ url, clock, onLost, signal });
    },
    async close() {
      transport.close();
      return Promise.resolve();
    },
  };
}

interface Parts {
  readonly transport: WeaviateTransport;
  readonly classes: WeaviateClasses;
  /** Rejects unless `check` was passed once. */
  readonly usable: () => Promise<void>;
}

function writingTo({ transport, classes, usable }: Parts): Pick<VectorIndex, 'create' | 'put' | 'remove' | 'complete'> {
  return {
    async create(version, spec) {
      await usable();
      await classes.create(version, spec);
    },
    async put(version, objects) {
      await usable();
      // From the server each time: where the class is gone, or is another one, nothing must be sent.
      checkObjects(objects, (await classes.expect(version)).dimensions);
      await classes.using(version, (className) => putObjects(transport, className, objects));
    },
    async remove(version, passageIds) {
      checkIds(passageIds);
      await classes.using(version, (className) => removeObjects(transport, className, passageIds));
    },
    async complete(version) {
      await classes.expect(version);
    },
  };
}

function readingFrom({ transport, classes }: Parts): Pick<VectorIndex, 'vectors' | 'unfindable' | 'list' | 'search'> {
  return {
    async vectors(version, passageIds) {
      checkIds(passageIds);
      return await classes.using(version, (className) => vectorsOf(transport, className, passageIds));
    },
    async unfindable(version, objects) {
      const { dimensions } = await classes.remembered(version);
      checkIds(objects.map(({ passageId }) => passageId));
      for (const { vector } of objects) checkVector(vector, dimensions);
      return await classes.using(version, (className) => unfindableObjects(transport, className, objects));
    },
    async *list(version) {
      await classes.expect(version);
      let after: string | null = null;
      do {
        const cursor: string | null = after;
        const page: StoredId[] = await classes.using(version, (name) => pageOfObjects(transport, name, cursor));
        if (page.length > 0) yield page;
        after = page.at(-1)?.passageId ?? null;
      } while (after !== null);
    },
    async search(version, wanted, { signal }) {
      signal.throwIfAborted();
      const { dimensions } = await classes.remembered(version);
      checkWanted(wanted, dimensions);
      if (findsNothing(wanted.filter)) return [];
      return await classes.using(version, (className) => searchObjects(transport, className, wanted, signal));
    },
  };
}
