/** Several processes as one engine: wake-ups, live deltas and announced events by NATS JetStream. */
import type { Announcements, Bus, Clock } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import { createNatsAnnouncements } from './natsAnnouncements.ts';
import { connectNats, type NatsLink, within } from './natsConnection.ts';
import { createNatsDeltas } from './natsDeltas.ts';
import { createDeltaSender } from './natsDeltaSender.ts';
import { natsNames } from './natsNames.ts';
import { createNatsStreams, defaultNatsLimits, type NatsLimits, type NatsStreams } from './natsStreams.ts';
import { createNatsWakeUps } from './natsWakeUps.ts';

const CLOSE_MS = 3_000;
/** How long a start waits for the server. */
const CHECK_MS = 5_000;
/** The first release with everything that is used here. */
const OLDEST = [2, 9] as const;
/** A fault that goes on is told once in this time. */
const FAULT_EVERY_MS = 10_000;

export interface NatsBus extends Bus {
  readonly announcements: Announcements;
  /** Whether the server is connected now. */
  connected(): boolean;
  /** The server's version. Rejects within seconds with `Refusal('unavailable')`, saying what to do, when it cannot be used. */
  check(): Promise<{ version: string }>;
  /** Sends what waits, as far as that is possible at once, and ends everything. */
  close(): Promise<void>;
}

export interface NatsBusOptions extends Partial<NatsLimits> {
  /** One or several servers, separated by commas: `nats://user:password@host:4222`. */
  readonly url: string;
  /** Of the log: installations may share a server. */
  readonly lineage: string;
  readonly clock: Clock;
  /** Hears of everything that went wrong, a fault that goes on only now and then. */
  readonly onFault: (error: unknown) => void;
}

/**
 * Connects in the background, and again whenever the connection is lost; while it is, wake-ups and deltas are lost and
 * nothing waits for them. @throws Refusal `invalid` when `url` is no address.
 */
export function createNatsBus({ url, lineage, clock, onFault, ...limits }: NatsBusOptions): NatsBus {
  const names = natsNames(lineage);
  const tell = nowAndThen(clock, onFault);
  const link = connectNats({ url, clock, onFault: tell });
  const streams = createNatsStreams(link, names, { ...defaultNatsLimits, ...limits }, clock);
  const parts = { link, names, streams, clock, onFault: tell };
  const sender = createDeltaSender(parts);
  const wakeUps = createNatsWakeUps(parts);
  let closing = false;
  link.onChange(() => {
    if (closing) return;
    if (link.current() === null) tell(new Error('the connection to NATS is lost: it is tried again'));
    // A store that was wiped meanwhile: better found now than by the first who needs it.
    else streams.ensure().catch(tell);
  });
  return {
    wake: (wakeUp) => wakeUps.wake(wakeUp),
    wakeUps: (taking) => wakeUps.wakeUps(taking),
    ...createNatsDeltas(parts),
    publish: (delta) => sender.publish(delta),
    endTurn: (turnId) => sender.endTurn(turnId),
    announcements: createNatsAnnouncements(parts),
    connected: () => link.current() !== null,
    check: () => check(link, streams, clock),
    async close() {
      closing = true;
      const sent = Promise.all([sender.stop(), wakeUps.stop()]);
      await within(clock, CLOSE_MS, 'what waits', sent).catch(tell);
      await link.close();
    },
  };
}

async function check(link: NatsLink, streams: NatsStreams, clock: Clock): Promise<{ version: string }> {
  const fail = (says: string, cause: unknown) => new Refusal('unavailable', says, { retryable: false, cause });
  const over = new AbortController();
  const nc = await within(clock, CHECK_MS, 'connecting', link.up(over.signal)).catch(() => null);
  over.abort();
  const info = nc?.info;
  if (info === undefined) {
    const trouble = link.trouble();
    const refused = /auth/i.test(trouble instanceof Error ? trouble.message : '');
    throw fail(
      refused
        ? `NATS at ${link.servers} refuses the login: correct the user, password or token in NATS_URL`
        : `NATS at ${link.servers} does not answer: start it, or correct NATS_URL`,
      trouble,
    );
  }
  const { version } = info;
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]))
    throw fail(`NATS ${version} at ${link.servers} is too old: use ${OLDEST.join('.')} or newer`, null);
  if (info.jetstream !== true)
    throw fail(
      `NATS at ${link.servers} runs without JetStream: start it with -js (nats-server -js -sd <folder>)`,
      null,
    );
  try {
    await streams.ensure();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw fail(`NATS at ${link.servers} cannot keep what Colloquy needs (${reason}): see its JetStream limits`, error);
  }
  return { version };
}

function nowAndThen(clock: Clock, onFault: (error: unknown) => void): (error: unknown) => void {
  const told = new Map<string, number>();
  return (error) => {
    const what = error instanceof Error ? error.message : String(error);
    const now = clock.monotonic();
    if (now - (told.get(what) ?? -Infinity) < FAULT_EVERY_MS) return;
    if (told.size > 100) told.clear();
    told.set(what, now);
    onFault(error);
  };
}
