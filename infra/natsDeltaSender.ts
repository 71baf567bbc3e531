/** Deltas on their way out: several of a turn in one message, never waited for, dropped when there is no way. */
import { headers } from 'nats';
import type { Bus, Clock, Delta } from '../domain/ports.ts';
import { type NatsLink, within } from './natsConnection.ts';
import type { DeltaMessage } from './natsDeltas.ts';
import type { NatsNames } from './natsNames.ts';

/** Deltas of a turn that come within this time share a message. */
const GATHER_MS = 20;
/** UTF-16 units in one message: with everything escaped still far below the megabyte that a server takes. */
const MESSAGE_CHARS = 64 * 1024;
/** UTF-16 units of messages sent before the server's answer is waited for. */
const BATCH_CHARS = 512 * 1024;
/** UTF-16 units that wait at most while NATS is slow or away; what comes then is dropped. */
const MAX_CHARS = 4 * 1024 * 1024;
/** What a delta weighs beside its text. */
const DELTA_CHARS = 16;
const FLUSH_MS = 5_000;
/** Turns whose subjects are remembered until they end. */
const MAX_TURNS = 10_000;

interface Outgoing {
  readonly subject: string;
  /** Null: the turn has ended, what is kept of it can go. */
  readonly message: DeltaMessage | null;
  chars: number;
}

export interface DeltaSender extends Pick<Bus, 'publish' | 'endTurn'> {
  /** Resolves when what waits is sent, or cannot be. */
  stop(): Promise<void>;
}

export interface DeltaSenderOptions {
  readonly link: NatsLink;
  readonly names: NatsNames;
  readonly clock: Clock;
  readonly onFault: (error: unknown) => void;
}

/** One batch is under way at a time; what comes meanwhile waits, is gathered, and is bounded. */
export function createDeltaSender(options: DeltaSenderOptions): DeltaSender {
  const { names } = options;
  const waiting: Queue = { messages: [], open: new Map(), chars: 0 };
  const subjects = new Map<string, string>();
  const stopped = new AbortController();
  let sending: Promise<void> | null = null;
  const put = (outgoing: Outgoing) => {
    waiting.messages.push(outgoing);
    waiting.chars += outgoing.chars;
    sending ??= send(options, waiting, stopped.signal).finally(() => (sending = null));
  };
  return {
    publish(delta) {
      const weight = delta.text.length + DELTA_CHARS;
      if (waiting.chars + weight > MAX_CHARS || stopped.signal.aborted) return;
      const mine = waiting.open.get(delta.turnId);
      if (mine?.message != null && mine.chars + weight <= MESSAGE_CHARS) {
        mine.message.pieces.push([delta.attempt, delta.offset, delta.text]);
        mine.chars += weight;
        waiting.chars += weight;
        return;
      }
      const outgoing = opened(delta, names.deltaSubject(delta), weight);
      waiting.open.set(delta.turnId, outgoing);
      subjects.set(delta.turnId, outgoing.subject);
      if (subjects.size > MAX_TURNS) subjects.delete(firstKey(subjects));
      put(outgoing);
    },
    endTurn(turnId) {
      const subject = subjects.get(turnId);
      // A turn that wrote nothing here has nothing kept, or belongs to who took it over.
      if (subject === undefined) return;
      subjects.delete(turnId);
      waiting.open.delete(turnId);
      if (waiting.chars < MAX_CHARS) put({ subject, message: null, chars: DELTA_CHARS });
    },
    async stop() {
      stopped.abort();
      await sending;
    },
  };
}

interface Queue {
  readonly messages: Outgoing[];
  /** By turn, the message to which its next delta is added. */
  readonly open: Map<string, Outgoing>;
  chars: number;
}

/** Sends until nothing waits any more, or there is no way and none is waited for. */
async function send({ link, clock, onFault }: DeltaSenderOptions, waiting: Queue, stopped: AbortSignal): Promise<void> {
  // Lets the caller go on first: publishing costs it nothing.
  await Promise.resolve();
  while (waiting.messages.length > 0) {
    const nc = link.current() ?? (await link.up(stopped));
    if (nc === null) return;
    try {
      for (let room = BATCH_CHARS; room > 0;) {
        const next = waiting.messages.shift();
        if (next === undefined) break;
        const turnId = next.message?.turnId ?? '';
        if (waiting.open.get(turnId) === next) waiting.open.delete(turnId);
        waiting.chars -= next.chars;
        room -= next.chars;
        if (next.message === null) nc.publish(next.subject, '', { headers: rollUp() });
        else nc.publish(next.subject, JSON.stringify(next.message));
      }
      await within(clock, FLUSH_MS, 'deltas', nc.flush());
    } catch (error) {
      onFault(error);
    }
    await clock.sleep(GATHER_MS, stopped);
  }
}

function opened({ project, discussionId, turnId, attempt, offset, text }: Delta, subject: string, chars: number) {
  return {
    subject,
    chars,
    message: { project, discussionId, turnId, pieces: [[attempt, offset, text]] },
  } satisfies Outgoing;
}

/** An empty message that takes the place of all before it on its subject: in order with them, which a purge would not be. */
function rollUp() {
  const rolled = headers();
  rolled.set('Nats-Rollup', 'sub');
  return rolled;
}

function firstKey(map: Map<string, unknown>): string {
  for (const key of map.keys()) return key;
  return '';
}
