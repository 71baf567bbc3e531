/** Models and stores for what is found by its meaning, as the settings name them; and the worker that embeds. */
import type { VectorIndex } from '../domain/meaning/vectorIndex.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Log } from '../domain/telemetry.ts';
import type { Settings } from '../infra/config.ts';
import { createPgvector } from '../infra/pgvector.ts';
import { createPostgresSlots } from '../infra/postgresSlots.ts';
import { systemClock, systemIds } from '../infra/system.ts';
import { createWeaviate } from '../infra/weaviate.ts';
import type { MeaningParts } from '../projections/vectors/versions.ts';
import { runEmbedder } from '../workers/embedder.ts';
import { openEmbedders } from './embedders.ts';
import type { Role } from './modes.ts';
import type { Storage } from './storage.ts';

export interface Meaning extends MeaningParts {
  close(): Promise<void>;
}

/** Nothing is loaded or asked before it is used. @param lineage of the log: installations may share a Weaviate. */
export function openMeaning(settings: Settings, { pool, embedded }: Storage['database'], lineage: string): Meaning {
  const { WEAVIATE_URL: url, WEAVIATE_API_KEY: apiKey, EMBEDDER: model } = settings;
  const embedders = openEmbedders(settings);
  const pgvector = createPgvector({ pool, embedded });
  const weaviate = url === undefined ? null : createWeaviate({ url, apiKey, lineage, clock: systemClock });
  const index = (store: VectorIndex['store']): VectorIndex => {
    if (store === 'pgvector') return pgvector;
    if (weaviate !== null) return weaviate;
    throw new Refusal(
      'unavailable',
      'the vectors stand in Weaviate: set WEAVIATE_URL, or `colloquy projections rebuild embeddings` makes them in the database',
      { retryable: false },
    );
  };
  return {
    index,
    embedder: (name) => embedders.named(name),
    wanted: { model, store: weaviate === null ? 'pgvector' : 'weaviate' },
    async close() {
      await Promise.all([embedders.close(), pgvector.close(), weaviate?.close()]);
    },
  };
}

/** Embeds in this process when its roles say so. Settles after the signal has aborted. */
export async function embedHere({
  meaning,
  storage: { database, store },
  roles,
  log,
  signal,
}: {
  readonly meaning: Meaning;
  readonly storage: Pick<Storage, 'database' | 'store'>;
  readonly roles: ReadonlySet<Role>;
  readonly log: Log;
  readonly signal: AbortSignal;
}): Promise<void> {
  if (!roles.has('embedder')) return;
  const slots = createPostgresSlots({ pool: database.pool });
  const holder = `embedder-${systemIds.next()}`;
  await runEmbedder({ ...meaning, knex: database.knex, store, clock: systemClock, slots, holder, log }, signal);
}
