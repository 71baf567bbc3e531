/** Writes the vectors of one version, so that what was confirmed is found whatever was killed meanwhile. */
import type { Passage, VectorIndex } from '../domain/meaning/vectorIndex.ts';
import { embedPassages, type Embedded } from './embedPassages.ts';
import { auditIndex, putUntilFound, type IndexParts } from './vectorAudit.ts';
import { auditedOf, noteAudited, placeOf } from './vectorIndexes.ts';

export interface VectorWriter {
  readonly version: number;
  readonly store: VectorIndex['store'];
  /** Embeds passages and stores them; answers those that cannot be embedded. Rejects to be tried again. */
  add(passages: readonly Passage[]): Promise<Embedded['failed']>;
  /** The store may have lost something: what was written is looked at, before anything else is, or now if nothing else is. */
  doubt(): Promise<void>;
}

export interface WriterOptions extends IndexParts {
  readonly signal: AbortSignal;
  /** Told when a store that was started again was looked at. */
  readonly onAudited: (audited: { version: number; amiss: number }) => void;
}

/** One at a time: calls at once wait for each other. */
export function createVectorWriter(options: WriterOptions): VectorWriter {
  const { index, embedder, version, signal } = options;
  // A process before this one may have been killed between the store and the checkpoint.
  let careful = true;
  // Counted, since the store may be lost again while it is looked at.
  let [doubts, settled] = [1, 0];
  let last: Promise<unknown> = Promise.resolve();
  const alone = <T>(work: () => Promise<T>): Promise<T> => {
    const next = last.then(work, work);
    last = next.catch(() => undefined);
    return next;
  };
  const settle = async (): Promise<void> => {
    const now = doubts;
    if (settled === now) return;
    await auditIfRestarted(options);
    settled = now;
  };
  return {
    version,
    store: index.store,
    add: (passages) =>
      alone(async () => {
        await settle();
        const { objects: embedded, failed } = await embedPassages(embedder, passages, signal);
        // All chunks of an event or none: its letter stands for the event.
        const without = new Set(failed.map(({ passage }) => passage.eventId));
        const objects = embedded.filter(({ passage }) => !without.has(passage.eventId));
        try {
          if (careful) await putUntilFound({ index, version }, objects, signal);
          else await index.put(version, objects);
          careful = false;
        } catch (error) {
          // Nobody knows what of it was stored, nor what became of what was stored before.
          careful = true;
          doubts += 1;
          throw error;
        }
        return failed;
      }),
    doubt: () => {
      doubts += 1;
      return alone(settle);
    },
  };
}

/**
 * Looks at what was written since the last audit when the store was started again since then. Only what a store has kept
 * over a start is known to be kept: so the audit's place moves on then, and only when nothing was amiss.
 */
async function auditIfRestarted(options: WriterOptions): Promise<void> {
  const { index, knex, version, signal, onAudited } = options;
  const incarnation = await index.incarnation();
  if (incarnation === null) return;
  const audited = await auditedOf(knex, version);
  if (audited.incarnation === incarnation) return;
  const to = await placeOf(knex, version);
  if (to === 0n) return noteAudited(knex, version, { position: 0n, incarnation });
  const amiss = await auditIndex(options, { version, after: audited.position, to, repair: true, signal });
  await noteAudited(knex, version, { position: amiss === 0 ? to : audited.position, incarnation });
  onAudited({ version, amiss });
}
