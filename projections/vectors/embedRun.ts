/** Keeps the live version of the vectors up to date. */
import type { Passage, VectorIndex } from '../../domain/meaning/vectorIndex.ts';
import type { Clock, EventStore } from '../../domain/ports.ts';
import { Refusal } from '../../domain/refusal.ts';
import type { Knex } from 'knex';
import { loadMembers } from '../checkpoints.ts';
import { embeddings, ledger, passagesAmong } from '../embeddings.ts';
import type { DeadLetter, FoldedBatch } from '../foldBatch.ts';
import type { StoreBeside } from '../persist.ts';
import { runProjections, type ProjectionRunner } from '../run.ts';
import { beginAnew, dropLeftOver, openVersion, type MeaningParts } from './versions.ts';
import { liveIndex, placeOf } from './indexes.ts';
import { createVectorWriter, VECTOR_BATCH, type VectorWriter, type WriterOptions } from './writer.ts';

const BATCH = { maxEvents: VECTOR_BATCH.events, maxChars: VECTOR_BATCH.chars };
/** How often an idle runner looks whether its collection is there and the store was not started again. */
const LOOK_MS = 30_000;
/** How soon it looks again at what was amiss; doubles each time, up to the other. */
const AGAIN_MS = 1_000;

export interface EmbedRunOptions extends MeaningParts {
  readonly knex: Knex;
  readonly store: EventStore;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onFault: (error: unknown) => void;
  readonly onAudited: WriterOptions['onAudited'];
}

/** Where batches' vectors go, and who looks after them. */
export interface EmbedBeside {
  readonly beside: StoreBeside;
  /** The store may have lost something. @returns whether that is done with, as `VectorWriter.doubt`. */
  readonly doubt: () => Promise<boolean>;
}

/**
 * Runs until the signal aborts. Resolves once the index is there.
 * @throws Refusal when the store cannot be had: nothing was begun then.
 */
export async function runEmbeddings(options: EmbedRunOptions): Promise<ProjectionRunner> {
  const { knex, store, clock, signal, onFault } = options;
  const used = options.index((await liveIndex(knex))?.store ?? options.wanted.store);
  // Whether it can be had is asked before anything is begun. The model is loaded for the first passage.
  await used.versions();
  const writing = createEmbedBeside(options);
  const runner = await runProjections({
    ...{ knex, store, clock, signal, onFault, batch: BATCH, projections: [embeddings] },
    beside: writing.beside,
  });
  return { ...runner, finished: Promise.all([runner.finished, look(options, writing)]).then(() => undefined) };
}

/** At once, since the store may have been away while nobody ran, and then from time to time. */
async function look(options: EmbedRunOptions, { doubt }: EmbedBeside): Promise<void> {
  const { knex, clock, signal, onFault, index, wanted } = options;
  for (let againMs = AGAIN_MS; !signal.aborted;) {
    const done = await doubt().catch((error: unknown) => (onFault(error), true));
    againMs = done ? AGAIN_MS : Math.min(againMs * 2, LOOK_MS);
    const stores = new Set([wanted.store, (await liveIndex(knex).catch(() => null))?.store ?? wanted.store]);
    for (const store of stores)
      await Promise.resolve()
        .then(() => dropLeftOver(knex, index(store)))
        .catch(onFault);
    await clock.sleep(done ? LOOK_MS : againMs, signal);
  }
}

/** Embeds what batches add, with what the batch's version was made with. */
export function createEmbedBeside(options: EmbedRunOptions): EmbedBeside {
  // One for a version: two would not wait for each other.
  let current: { version: number; writer: Promise<VectorWriter> } | null = null;
  const watched = new Set<VectorIndex['store']>();
  const open = async (version: number): Promise<VectorWriter> => {
    const writer = await openWriter(options, version);
    if (!watched.has(writer.store))
      options.index(writer.store).watch(() => void beside.doubt().catch(options.onFault), options.signal);
    watched.add(writer.store);
    return writer;
  };
  const writerOf = (version: number): Promise<VectorWriter> => {
    if (current?.version === version) return current.writer;
    const opened = { version, writer: open(version) };
    current = opened;
    // Without a model or a store there is none.
    opened.writer.catch(() => void (current = current === opened ? null : current));
    return opened.writer;
  };
  const started = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      // Its collection is gone: opened anew, it is made anew.
      if (error instanceof Refusal && error.code === 'conflict') current = null;
      throw error;
    }
  };
  const beside: EmbedBeside = {
    beside: (batches) =>
      started(() =>
        Promise.all(
          batches.map(async (batch) => {
            const passages = passagesAmong(batch.changes.find(({ table }) => table === ledger)?.upserts ?? []);
            if (passages.length === 0) return batch;
            const failed = await (await writerOf(batch.member.checkpoint.version)).add(passages);
            return failed.length === 0 ? batch : withLetters(batch, await lettersOf(options.store, failed));
          }),
        ),
      ),
    doubt: () =>
      started(async () => {
        const [member] = await loadMembers(options.knex, [embeddings]);
        if (member === undefined || member.checkpoint.position === 0n) return true;
        const { version } = member.checkpoint;
        const writer = await writerOf(version);
        if ((await options.index(writer.store).describe(version)) !== null) return writer.doubt();
        current = null;
        await writerOf(version);
        return true;
      }),
  };
  return beside;
}

async function openWriter(options: EmbedRunOptions, version: number): Promise<VectorWriter> {
  const { knex, signal, onAudited } = options;
  const place = await placeOf(knex, version);
  const open = await openVersion(options, version, { place, signal });
  if (open.gone) {
    await beginAnew(knex, version);
    throw new Refusal('conflict', 'the vectors were gone from their store: all passages are embedded again', {
      retryable: true,
    });
  }
  await open.index.complete(version);
  return createVectorWriter({ ...open, signal, onAudited });
}

/** Letters about events whose passages cannot be embedded. */
export async function lettersOf(
  store: EventStore,
  failed: readonly { readonly passage: Passage; readonly error: string }[],
): Promise<DeadLetter[]> {
  const letters = new Map<string, DeadLetter>();
  for (const { passage, error } of failed) {
    if (letters.has(passage.eventId)) continue;
    for await (const event of store.read(passage.stream, { from: passage.revision, limit: 1 }))
      letters.set(event.id, { event, error, unplaced: true });
  }
  return [...letters.values()];
}

function withLetters(batch: FoldedBatch, letters: readonly DeadLetter[]): FoldedBatch {
  return { ...batch, deadLetters: [...batch.deadLetters, ...letters] };
}
