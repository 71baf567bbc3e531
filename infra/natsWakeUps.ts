/** Wake-ups on a work-queue stream: published without waiting for each, pulled one at a time. */
import { createInbox, headers, type Msg, type MsgHdrs, nanos, type NatsConnection } from 'nats';
import { z } from 'zod';
import type { Bus, Clock, WakeUp } from '../domain/ports.ts';
import { type NatsLink, within } from './natsConnection.ts';
import { leavable } from './leavable.ts';
import type { NatsNames } from './natsNames.ts';
import type { NatsStreams } from './natsStreams.ts';

/** Wake-ups sent before the server's answers are waited for. */
const BATCH = 256;
/** Wake-ups that wait to be sent: more than the stream keeps would be dropped there. */
const MAX_WAITING = 5_000;
const CONFIRM_MS = 2_000;
/** Our own patience ends after the vendor's, whose answer says more. */
const GRACE_MS = 500;
/** How long a pull waits at the server. A pull that is forgotten there (a wiped store says nothing) costs this much. */
const PULL_MS = 4_000;
const PULL_GRACE_MS = 1_000;
const RETRY_MS = { first: 50, longest: 2_000 };
/** The header of W3C Trace Context. */
const TRACEPARENT = 'traceparent';
/** Wake-ups remembered that came to this process. */
const MAX_TAKEN = 5_000;

const wakeUpSchema = z.object({
  kind: z.literal('turn'),
  project: z.string(),
  discussionId: z.string(),
  turnId: z.string(),
  revision: z.number(),
});

export interface NatsWakeUpsOptions {
  readonly link: NatsLink;
  readonly names: NatsNames;
  readonly streams: NatsStreams;
  readonly clock: Clock;
  readonly onFault: (error: unknown) => void;
}

export interface NatsWakeUps extends Pick<Bus, 'wake' | 'wakeUps'> {
  /** Resolves when what waits is sent, or lost. */
  stop(): Promise<void>;
}

/**
 * `wake` never waits nor rejects: a wake-up that cannot be sent is lost, and the sweeper finds its work. What a consumer leaves without `ack` comes to another one after the ack
 * wait.
 */
export function createNatsWakeUps(options: NatsWakeUpsOptions): NatsWakeUps {
  const taken = new Set<string>();
  const keyOf = ({ turnId, revision }: WakeUp) => `${turnId}:${revision}`;
  const sender = createSender(options);
  return {
    wake({ traceparent, ...wakeUp }) {
      const key = keyOf(wakeUp);
      // The id spares the stream what several relays tell of one event. One that came here is woken again on purpose
      // (put back, or to be tried later), so it must not be taken for a double.
      sender.put({ data: JSON.stringify(wakeUp), msgID: taken.has(key) ? null : key, traceparent });
      return Promise.resolve();
    },
    stop: () => sender.stop(),
    wakeUps: ({ signal: given }) =>
      leavable(given, async function* (signal) {
        for await (const message of pulled(options, signal)) {
          const wakeUp = decoded(message, options.onFault);
          if (wakeUp === null) continue;
          remember(taken, keyOf(wakeUp));
          let acked = false;
          const ack = () => {
            if (!acked) answer(message, '+ACK', options.onFault);
            acked = true;
          };
          yield { wakeUp, ack };
        }
      }),
  };
}

function tracedBy(traceparent: string | undefined): { headers?: MsgHdrs } {
  if (traceparent === undefined) return {};
  const head = headers();
  head.set(TRACEPARENT, traceparent);
  return { headers: head };
}

interface Waiting {
  readonly data: string;
  readonly msgID: string | null;
  readonly traceparent: string | undefined;
}

/** Sends what was put into its queue, a batch at a time; what does not fit into the queue pushes out the oldest. */
function createSender({ link, names, streams, clock, onFault }: NatsWakeUpsOptions) {
  const queue: Waiting[] = [];
  let sending: Promise<void> | null = null;
  const publish = async (nc: NatsConnection, batch: readonly Waiting[]): Promise<Waiting[]> => {
    const js = nc.jetstream({ timeout: CONFIRM_MS });
    const sent = batch.map(async ({ data, msgID, traceparent }) => {
      const options = { ...(msgID === null ? {} : { msgID }), ...tracedBy(traceparent) };
      await js.publish(names.wakeUps.subject, data, options);
    });
    const answers = await within(clock, CONFIRM_MS + GRACE_MS, 'wake-ups', Promise.allSettled(sent));
    return batch.filter((_, i) => answers[i]?.status === 'rejected');
  };
  const send = async () => {
    // What is woken in the same moment goes out together.
    await Promise.resolve();
    while (queue.length > 0) {
      const nc = link.current();
      // While NATS is away its wake-ups are lost: kept ones would only come after the sweeper's.
      if (nc === null) return void queue.splice(0);
      try {
        const failed = await publish(nc, queue.splice(0, BATCH));
        if (failed.length === 0) continue;
        await streams.ensure();
        const lost = await publish(nc, failed);
        if (lost.length > 0) onFault(new Error('wake-ups could not be stored: the sweeper finds their work'));
      } catch (error) {
        onFault(error);
      }
    }
  };
  return {
    put(waiting: Waiting) {
      queue.push(waiting);
      if (queue.length > MAX_WAITING) queue.shift();
      sending ??= send().finally(() => (sending = null));
    },
    stop: async () => void (await sending),
  };
}

/** Messages of the work queue, each asked for when the one before was taken: what waits stays at the server for others. */
async function* pulled(options: NatsWakeUpsOptions, signal: AbortSignal): AsyncGenerator<Msg> {
  const { link, streams, clock, onFault } = options;
  let retryMs = RETRY_MS.first;
  for (;;) {
    const nc = await link.up(signal);
    if (nc === null) return;
    const puller = openPuller(nc, options);
    try {
      while (link.current() === nc && !signal.aborted && !puller.closed()) {
        const answer = await puller.pull(signal);
        if (answer.kind === 'message') {
          retryMs = RETRY_MS.first;
          yield answer.message;
        }
        if (answer.kind !== 'trouble' || signal.aborted) continue;
        await streams.ensure().catch(onFault);
        await clock.sleep(retryMs, signal);
        retryMs = Math.min(retryMs * 2, RETRY_MS.longest);
      }
    } finally {
      puller.close();
    }
  }
}

type Answer =
  | { readonly kind: 'message'; readonly message: Msg }
  /** Nothing came in time, or nobody waits any more. */
  | { readonly kind: 'none' }
  /** The stream or the consumer may be gone. */
  | { readonly kind: 'trouble' };

interface Puller {
  pull(signal: AbortSignal): Promise<Answer>;
  closed(): boolean;
  close(): void;
}

/** One inbox for all pulls of a consumer on one connection, each pull with a subject of its own below it. */
function openPuller(nc: NatsConnection, { link, names, clock, onFault }: NatsWakeUpsOptions): Puller {
  const inbox = createInbox();
  const { stream, consumer } = names.wakeUps;
  const request = JSON.stringify({ batch: 1, expires: nanos(PULL_MS) });
  let pulls = 0;
  let waiting: { readonly subject: string; readonly take: (answer: Answer) => void } | null = null;
  const subscription = nc.subscribe(`${inbox}.*`, {
    callback(error, message) {
      if (error) return onFault(error);
      const status = message.headers?.code ?? 0;
      if (status !== 0) {
        // Of an older pull otherwise, which was given up.
        if (waiting?.subject === message.subject)
          waiting.take({ kind: status === 404 || status === 408 ? 'none' : 'trouble' });
      } else if (waiting !== null) waiting.take({ kind: 'message', message });
      // It came for a pull that was given up: the others must not wait for it.
      else answer(message, '-NAK', onFault);
    },
  });
  const pull = (signal: AbortSignal): Promise<Answer> =>
    new Promise((resolve) => {
      pulls += 1;
      const subject = `${inbox}.${pulls}`;
      const over = new AbortController();
      const take = (answer: Answer) => {
        waiting = null;
        over.abort('taken');
        off();
        signal.removeEventListener('abort', leave);
        resolve(answer);
      };
      const leave = () => take({ kind: 'none' });
      const off = link.onChange(leave);
      signal.addEventListener('abort', leave, { once: true });
      waiting = { subject, take };
      void clock.sleep(PULL_MS + PULL_GRACE_MS, over.signal).then(() => {
        if (!over.signal.aborted) take({ kind: 'trouble' });
      });
      if (signal.aborted || link.current() !== nc) return leave();
      nc.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`, request, { reply: subject });
    });
  return { pull, closed: () => subscription.isClosed(), close: () => subscription.unsubscribe() };
}

function decoded(message: Msg, onFault: (error: unknown) => void): WakeUp | null {
  try {
    const wakeUp = wakeUpSchema.parse(message.json());
    const traceparent = message.headers?.get(TRACEPARENT) ?? '';
    return traceparent === '' ? wakeUp : { ...wakeUp, traceparent };
  } catch {
    // Somebody else's message: it must not come again and again.
    answer(message, '+TERM', onFault);
    onFault(new Error('a message among the wake-ups was none'));
    return null;
  }
}

function answer(message: Msg, text: '+ACK' | '-NAK' | '+TERM', onFault: (error: unknown) => void): void {
  try {
    message.respond(text);
  } catch (error) {
    // The connection is closed: the wake-up comes again.
    onFault(error);
  }
}

function remember(taken: Set<string>, key: string): void {
  taken.delete(key);
  taken.add(key);
  if (taken.size <= MAX_TAKEN) return;
  for (const oldest of taken) {
    taken.delete(oldest);
    return;
  }
}
