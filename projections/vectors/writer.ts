/** Writes the vectors of one version, so that what was confirmed is found whatever was killed meanwhile. */
import type { Passage, VectorIndex } from '../../domain/meaning/vectorIndex.ts';
import { Refusal } from '../../domain/refusal.ts';
import { embedPassages, type Embedded } from './embedPassages.ts';
import { auditIndex, putUntilFound, type IndexParts } from './audit.ts';
import { auditedOf, noteAudited, placeOf } from './indexes.ts';

/** Events written at once; few, since what is under way is done again after a failure. */
export const VECTOR_BATCH = { events: 200, chars: 400_000 };

export interface VectorWriter {
  readonly store: VectorIndex['store'];
  /** Embeds passages and stores them; answers those that cannot be embedded. Rejects to be tried again. */
  add(passages: readonly Passage[]): Promise<Embedded['failed']>;
  /**
   * The store may have lost something: what was written is looked at, before anything else is, or now if nothing else is.
   * @returns whether that is done with; false when it has to be looked at again.
   */
  doubt(): Promise<boolean>;
}

export interface WriterOptions extends IndexParts {
  readonly signal: AbortSignal;
  /** Told when a store that was started again was looked at. */
  readonly onAudited: (audited: { version: number; amiss: number }) => void;
}

/** One at a time: calls at once wait for each other. */
export function createVectorWriter(options: WriterOptions): VectorWriter {
  const { index, embedder, version, signal } = options;
  // A process before this one may have been killed between the store and the checkpoint, with a batch that was cut elsewhere.
  let carefulEvents = VECTOR_BATCH.events;
  /** The start of the store that was settled. */
  let known: string | null = null;
  /** Position of the last event whose objects were put: its checkpoint may be still under way. */
  let put = 0n;
  const due: Due = { position: null };
  let last: Promise<unknown> = Promise.resolve();
  const alone = <T>(work: () => Promise<T>): Promise<T> => {
    const next = last.then(work, work);
    last = next.catch(() => undefined);
    return next;
  };
  /** @returns the start of the store whose losses were seen to. */
  const settle = async (): Promise<string | null> => {
    const incarnation = await index.incarnation();
    if (incarnation === known) return incarnation;
    const audit = await auditIfRestarted(options, { incarnation, put, due });
    if (audit !== 'same') carefulEvents = VECTOR_BATCH.events;
    if (audit !== 'in part') known = incarnation;
    return incarnation;
  };
  return {
    store: index.store,
    add: (passages) =>
      alone(async () => {
        const incarnation = await settle();
        const { objects: embedded, failed } = await embedPassages(embedder, passages, signal);
        // All chunks of an event or none: its letter stands for the event.
        const without = new Set(failed.map(({ passage }) => passage.eventId));
        const objects = embedded.filter(({ passage }) => !without.has(passage.eventId));
        try {
          if (carefulEvents > 0) await putUntilFound({ index, version }, objects, signal);
          else await index.put(version, objects);
          // Else what was put after the start would pass for what was kept over it.
          if ((await index.incarnation()) !== incarnation)
            throw new Refusal('unavailable', 'the store was started again while vectors were put into it');
          carefulEvents -= new Set(objects.map(({ passage }) => passage.eventId)).size;
          put = BigInt(objects.at(-1)?.passage.position ?? put);
        } catch (error) {
          // Nobody knows what of it was stored, nor what became of what was stored before.
          carefulEvents = VECTOR_BATCH.events;
          throw error;
        }
        return failed;
      }),
    doubt: () => alone(async () => (await settle()) === known),
  };
}

/** Where the index has to come to before it is looked at again: to the end of the log as it was at the look before. */
interface Due {
  position: bigint | null;
}

/**
 * Looks at what was written since the last audit when the store was started again since then. Only what a store has kept
 * over a start is known to be kept: so the audit's place moves on then, and only when nothing was amiss at the first look.
 * Where something was, the graph is damaged, and what is put into it may hide what was found before (Weaviate 1.35, seen):
 * so it is looked at again when what was left to be put then is put, until nothing is amiss.
 */
async function auditIfRestarted(
  options: WriterOptions,
  { incarnation, put, due }: { readonly incarnation: string | null; readonly put: bigint; readonly due: Due },
): Promise<'same' | 'in part' | 'whole'> {
  const { knex, store, version, signal, onAudited } = options;
  const audited = await auditedOf(knex, version);
  if (incarnation === null || audited.incarnation === incarnation) return 'same';
  // What an audit that was broken off has put again is there now, and was not kept over any start.
  const begun = `${incarnation}, begun`;
  const first = audited.incarnation !== begun;
  const to = await placeOf(knex, version);
  if (!first && to < (due.position ??= await store.head())) return 'in part';
  const { position: after } = audited;
  if (first) await noteAudited(knex, version, { after, position: after, incarnation: begun });
  due.position = await store.head();
  const amiss = await auditIndex(options, { version, after, to, repair: true, signal });
  // What was put and has no checkpoint yet is looked at once it has one.
  if (put > to) return 'in part';
  if (to > 0n) onAudited({ version, amiss });
  if (amiss > 0) return 'in part';
  await noteAudited(knex, version, { after, position: first ? to : after, incarnation });
  return 'whole';
}
