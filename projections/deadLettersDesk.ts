import type { RecordedEvent } from '../domain/envelope.ts';
import { deadLetterQueries, type DeadLetter } from './deadLetters.ts';
import { embeddings } from './embeddings.ts';
import { letterEvent, settleLetter, type Decision, type Settled, type SettleOptions } from './deadLettersSettle.ts';
import { embedBehind, isUnplaced, settleUnplaced, type UnplacedOptions } from './vectors/letters.ts';

/** Everything that can be done about dead letters. */
export interface DeadLettersDesk extends ReturnType<typeof deadLetterQueries> {
  /** @throws Refusal `internal` when the log does not have it. */
  event(letter: Pick<DeadLetter, 'stream' | 'eventId'>): Promise<RecordedEvent>;
  /** See `settleLetter`; the signal ends it between two rounds. */
  settle(id: string, decision: Decision, signal: AbortSignal): Promise<Settled>;
}

/** @param options of the primary database: what is decided here is written. */
export function deadLettersDesk(options: SettleOptions & UnplacedOptions): DeadLettersDesk {
  const queries = deadLetterQueries(options.knex);
  return {
    ...queries,
    event: (letter) => letterEvent(options.store, letter),
    async settle(id, decision, signal) {
      const letter = await queries.one(id);
      if (letter?.status === 'waiting' && (await isUnplaced(options.knex, letter))) {
        const gone = await settleUnplaced(options, letter, decision, signal);
        return { applied: gone && decision.kind === 'retry' ? 1 : 0, letter: gone ? null : await queries.one(id) };
      }
      const settled = await settleLetter(options, id, decision, signal);
      if (letter?.projection === embeddings.name) await embedBehind(options, letter, signal);
      return settled;
    },
  };
}
