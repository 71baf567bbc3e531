/** Committed events on a stream for everybody: each expects the one before it to be the stream's last. */
import { headers, type JetStreamClient, NatsError, type PubAck } from 'nats';
import { onTheWire, type RecordedEvent } from '../domain/envelope.ts';
import type { Announcements, Clock } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import { type NatsLink, within } from './natsConnection.ts';
import type { NatsNames } from './natsNames.ts';
import { JETSTREAM_MS, type NatsStreams, unlessMissing } from './natsStreams.ts';

/** Events announced and not yet confirmed, at most. */
const MAX_IN_FLIGHT = 256;
/** Characters announced and not yet confirmed, about. */
const MAX_IN_FLIGHT_CHARS = 4 * 1024 * 1024;
const CONFIRM_MS = 10_000;
/** What a message's headers and subject take of the server's limit, generously. */
const HEAD_BYTES = 4_096;
const POSITION = 'Colloquy-Position';
const WRONG_LAST_SEQUENCE = 10_071;
const WRONG_LAST_ID = 10_070;

/** The end of the stream: position of its last event, and its last sequence, which also counts what is gone. */
interface Tail {
  readonly position: bigint | null;
  readonly sequence: number;
}

export interface NatsAnnouncementsOptions {
  readonly link: NatsLink;
  readonly names: NatsNames;
  readonly streams: NatsStreams;
  readonly clock: Clock;
}

/** Rejects with `Refusal('unavailable')` when NATS cannot be asked or does not answer; how much was announced is then open. */
export function createNatsAnnouncements(options: NatsAnnouncementsOptions): Announcements {
  const { link } = options;
  // Valid on one connection only: a server that came back may have lost its newest, or everything.
  let known: (Tail & { readonly epoch: number }) | null = null;
  const look = async (): Promise<Tail> => {
    const epoch = link.epoch();
    known = { ...(await tailOf(options)), epoch };
    return known;
  };
  return {
    last: async () => (await look()).position,
    async announce(events, after) {
      const tail = known !== null && known.epoch === link.epoch() && known.position === after ? known : await look();
      known = null;
      if (tail.position !== after) throw lost();
      const epoch = link.epoch();
      let { sequence } = tail;
      let rest = events.map((event) => ({ event, body: bodyOf(event, maxBytes(link)) }));
      while (rest.length > 0) {
        const batch = firstOf(rest);
        await announceBatch(options, batch, sequence);
        sequence += batch.length;
        rest = rest.slice(batch.length);
      }
      const position = events.at(-1)?.position ?? after;
      known = { position, sequence, epoch };
    },
  };
}

interface Outgoing {
  readonly event: RecordedEvent;
  readonly body: string;
}

function firstOf(events: readonly Outgoing[]): Outgoing[] {
  let chars = 0;
  const end = events.findIndex(({ body }, i) => {
    chars += body.length;
    return i > 0 && (i >= MAX_IN_FLIGHT || chars > MAX_IN_FLIGHT_CHARS);
  });
  return events.slice(0, end < 0 ? events.length : end);
}

async function announceBatch(options: NatsAnnouncementsOptions, batch: Outgoing[], sequence: number): Promise<void> {
  const { link, names, clock } = options;
  const nc = link.current();
  if (nc === null) throw away();
  const js = nc.jetstream({ timeout: CONFIRM_MS });
  // All are sent in one go: the server takes them in this order, and none of them once one before it was not taken.
  // A sequence alone is no proof: with an old one the first is refused, but one after it may meet just the number that
  // others have reached, and what lies between would be left out. So each also names the event before it.
  const sent = batch.map(({ event, body }, i) => {
    const before = i === 0 ? {} : { lastMsgID: batch[i - 1]?.event.id ?? '' };
    return publish(js, names.eventSubject(event), event, body, { lastSequence: sequence + i, ...before });
  });
  const answers = await within(clock, CONFIRM_MS, 'announcing', Promise.allSettled(sent));
  for (const [i, answer] of answers.entries()) {
    if (answer.status === 'rejected') throw translated(answer.reason);
    // The same event from another process stands there already, which the server tells before it looks at the sequence.
    if (answer.value.duplicate || answer.value.seq !== sequence + i + 1) throw lost();
  }
}

async function publish(
  js: JetStreamClient,
  subject: string,
  event: RecordedEvent,
  body: string,
  expect: { lastSequence: number; lastMsgID?: string },
): Promise<PubAck> {
  const head = headers();
  head.set(POSITION, event.position.toString());
  const { traceparent } = event.metadata;
  if (traceparent !== undefined) head.set('traceparent', traceparent);
  return await js.publish(subject, body, { msgID: event.id, headers: head, expect });
}

/** What is larger than the server takes is announced without its data: one event must not hold up all after it. */
function bodyOf(event: RecordedEvent, limitBytes: number): string {
  const wire = onTheWire(event);
  const body = JSON.stringify(wire);
  return Buffer.byteLength(body) <= limitBytes ? body : JSON.stringify({ ...wire, data: null, dataOmitted: true });
}

function maxBytes(link: NatsLink): number {
  return (link.current()?.info?.max_payload ?? 1024 * 1024) - HEAD_BYTES;
}

async function tailOf({ names, streams, clock }: NatsAnnouncementsOptions): Promise<Tail> {
  const { stream, subject } = names.events;
  const ask = <T>(promise: Promise<T>) => within(clock, JETSTREAM_MS, 'the last announcement', unlessMissing(promise));
  try {
    const jsm = await streams.manager();
    if (jsm === null) throw away();
    let info = await ask(jsm.streams.info(stream));
    if (info === null) {
      await streams.ensure();
      info = await ask(jsm.streams.info(stream));
    }
    if (info === null) throw away();
    const { messages, last_seq: sequence } = info.state;
    // Asked of the leader: a replica that is behind would answer with an older one.
    const last = messages === 0 ? null : await ask(jsm.streams.getMessage(stream, { last_by_subj: subject }));
    return { position: last === null ? null : BigInt(last.header.get(POSITION)), sequence };
  } catch (error) {
    throw translated(error);
  }
}

function translated(error: unknown): Error {
  if (error instanceof Refusal) return error;
  const code = error instanceof NatsError ? error.api_error?.err_code : undefined;
  if (code === WRONG_LAST_SEQUENCE || code === WRONG_LAST_ID) return lost();
  // A number that is none comes from somebody else's message at the end of the stream.
  const detail = error instanceof SyntaxError ? 'holds something else than events: purge it' : 'takes no events now';
  return new Refusal('unavailable', `the stream of events at NATS ${detail}`, { cause: error });
}

function lost(): Refusal {
  return new Refusal('conflict', 'somebody else has announced meanwhile: ask where the announcements end');
}

function away(): Refusal {
  return new Refusal('unavailable', 'NATS cannot be reached: announcements wait');
}
