/** Deltas on their way in: what was kept of turns under way, then what comes, from the same subjects. */
import { AckPolicy, createInbox, DeliverPolicy, type Msg, nanos, type NatsConnection } from 'nats';
import { z } from 'zod';
import type { Bus, Clock, Delta } from '../domain/ports.ts';
import { type NatsLink, within } from './natsConnection.ts';
import { leavable } from './leavable.ts';
import type { NatsNames } from './natsNames.ts';
import { JETSTREAM_MS, type NatsStreams } from './natsStreams.ts';

/** Deltas a reader may be behind before it loses the oldest. */
const MAX_BEHIND = 5_000;
/** How long the kept deltas are waited for. */
const REPLAY_MS = 3_000;
/** The server forgets a replay whose reader has gone after this time. */
const REPLAY_IDLE_MS = 5_000;

const messageSchema = z.object({
  project: z.string(),
  discussionId: z.string(),
  turnId: z.string(),
  /** Attempt, offset, text. */
  pieces: z.array(z.tuple([z.number(), z.number(), z.string()])),
});
export type DeltaMessage = z.infer<typeof messageSchema>;

export type NatsDeltas = Pick<Bus, 'deltas'>;

export interface NatsDeltasOptions {
  readonly link: NatsLink;
  readonly names: NatsNames;
  readonly streams: NatsStreams;
  readonly clock: Clock;
  readonly onFault: (error: unknown) => void;
}

/**
 * A subscription of the plain kind per reader, which costs a server next to nothing and comes back with the connection;
 * JetStream is asked only once per reader, for what was kept. While NATS is away deltas are lost.
 */
export function createNatsDeltas(options: NatsDeltasOptions): NatsDeltas {
  const { link } = options;
  return {
    deltas: (wants, { signal: given }) =>
      leavable(given, async function* (signal) {
        for (;;) {
          const nc = await link.up(signal);
          if (nc === null) return;
          const reader = openReader(nc, wants, options, signal);
          try {
            while (!signal.aborted && !reader.closed()) {
              const delta = reader.queue.shift();
              if (delta !== undefined) yield delta;
              else await reader.news();
            }
          } finally {
            reader.close();
          }
          // Refused by the server, or the client gave the connection up.
          await options.clock.sleep(REPLAY_MS, signal);
        }
      }),
  };
}

interface Reader {
  readonly queue: Delta[];
  /** Resolves when there may be something to do: a delta, an aborted signal, a closed subscription. */
  news(): Promise<void>;
  closed(): boolean;
  close(): void;
}

function openReader(
  nc: NatsConnection,
  wants: Parameters<Bus['deltas']>[0],
  options: NatsDeltasOptions,
  signal: AbortSignal,
): Reader {
  const queue: Delta[] = [];
  // What comes while the kept deltas are read stands behind them.
  let held: Delta[] | null = [];
  const splice = createSplice();
  let wake: () => void = () => undefined;
  const onAbort = () => wake();
  const take = (delta: Delta) => {
    const place = held ?? queue;
    if (held === null && splice.isDouble(delta)) return;
    if (place.length >= MAX_BEHIND) place.shift();
    place.push(delta);
  };
  const subject = options.names.deltaFilter(wants);
  const subscription = nc.subscribe(subject, {
    callback(error, message) {
      if (error) options.onFault(error);
      else for (const delta of decoded(message, options.onFault)) take(delta);
      wake();
    },
  });
  void subscription.closed.then(() => wake());
  signal.addEventListener('abort', onAbort);
  const begin = async () => {
    // Whatever was sent before this answer has come to the stream, and what is sent after it comes here.
    await within(options.clock, JETSTREAM_MS, 'deltas', nc.flush());
    return await kept(nc, subject, options, signal);
  };
  void begin()
    .catch((error: unknown) => {
      if (!signal.aborted) options.onFault(error);
      return [];
    })
    .then((deltas) => {
      // One by one: as arguments of one call too many would throw, here where nobody could catch it.
      for (const delta of splice.start(deltas)) queue.push(delta);
      const late = held ?? [];
      held = null;
      for (const delta of late) take(delta);
      wake();
    });
  return {
    queue,
    news: () => new Promise((resolve) => (wake = resolve)),
    closed: () => subscription.isClosed(),
    close() {
      signal.removeEventListener('abort', onAbort);
      subscription.unsubscribe();
    },
  };
}

/** Where the kept deltas of a turn end and its live ones begin: one that was kept may come live as well. */
function createSplice() {
  const ends = new Map<string, { attempt: number; end: number }>();
  return {
    /** Of each turn only the newest attempt's deltas. */
    start(deltas: readonly Delta[]): Delta[] {
      for (const { turnId, attempt, offset, text } of deltas) {
        const there = ends.get(turnId);
        if (there === undefined || there.attempt <= attempt) ends.set(turnId, { attempt, end: offset + text.length });
      }
      return deltas.filter(({ turnId, attempt }) => ends.get(turnId)?.attempt === attempt);
    },
    isDouble({ turnId, attempt, offset }: Delta): boolean {
      const there = ends.get(turnId);
      if (there === undefined) return false;
      if (attempt < there.attempt || (attempt === there.attempt && offset < there.end)) return true;
      ends.delete(turnId);
      return false;
    },
  };
}

/** What the stream keeps of the subject, by a consumer that lives as long as this takes. */
async function kept(
  nc: NatsConnection,
  subject: string,
  { names, streams, clock }: NatsDeltasOptions,
  signal: AbortSignal,
): Promise<Delta[]> {
  const jsm = await nc.jetstreamManager({ timeout: JETSTREAM_MS, checkAPI: false });
  const inbox = createInbox();
  const deltas: Delta[] = [];
  const over = new AbortController();
  const subscription = nc.subscribe(inbox, {
    callback(error, message) {
      if (error) return over.abort();
      deltas.push(...decoded(message, () => undefined));
      if (pendingAfter(message) === 0) over.abort();
    },
  });
  const { stream } = names.deltas;
  const add = () =>
    jsm.consumers.add(stream, {
      ...{ ack_policy: AckPolicy.None, deliver_policy: DeliverPolicy.All, deliver_subject: inbox },
      ...{ filter_subject: subject, mem_storage: true, inactive_threshold: nanos(REPLAY_IDLE_MS) },
    });
  try {
    const info = await within(clock, JETSTREAM_MS, 'kept deltas', add()).catch(async () => {
      await streams.ensure();
      return await within(clock, JETSTREAM_MS, 'kept deltas', add());
    });
    const nothing = info.num_pending === 0 && info.delivered.consumer_seq === 0;
    if (!nothing) await clock.sleep(REPLAY_MS, AbortSignal.any([signal, over.signal]));
    void jsm.consumers.delete(stream, info.name).catch(() => undefined);
  } finally {
    subscription.unsubscribe();
  }
  return deltas;
}

/** How many messages a consumer still had after this one, from its reply subject (ADR-15 of NATS). */
function pendingAfter({ reply = '' }: Msg): number {
  const parts = reply.split('.');
  // $JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<consumer sequence>.<time>.<pending>; a newer form has domain and
  // account before the stream, and a token at the end.
  return Number(parts.length >= 11 ? parts[10] : parts[8]);
}

function decoded(message: Msg, onFault: (error: unknown) => void): Delta[] {
  // The mark of a turn that has ended.
  if (message.data.length === 0) return [];
  try {
    const { pieces, ...turn } = messageSchema.parse(message.json());
    return pieces.map(([attempt, offset, text]) => ({ ...turn, attempt, offset, text }));
  } catch {
    onFault(new Error('a message among the deltas was none'));
    return [];
  }
}
