/** The streams and the consumer of an installation, made where they are missing. */
import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  DiscardPolicy,
  type JetStreamManager,
  nanos,
  NatsError,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from 'nats';
import type { Clock } from '../domain/ports.ts';
import { type NatsLink, within } from './natsConnection.ts';
import type { NatsNames } from './natsNames.ts';

/** How long one question to JetStream may take. */
export const JETSTREAM_MS = 3_000;

const MINUTE_MS = 60_000;
const NOT_FOUND = 404;
/** Another process, perhaps of another version, has made it in the same moment: stream, consumer in two forms. */
const TAKEN = [10_058, 10_013, 10_148];

export interface NatsLimits {
  /** Wake-ups kept while nobody takes them; the oldest are dropped, the sweeper finds their work. */
  readonly maxWakeUps: number;
  /** Wake-ups handed out and not acknowledged, over all workers. */
  readonly maxAckPending: number;
  /** How long a worker that died keeps a wake-up from the others. */
  readonly ackWaitMs: number;
  readonly deltasMaxBytes: number;
  readonly eventsMaxAgeMs: number;
  readonly eventsMaxBytes: number;
}

export const defaultNatsLimits: NatsLimits = {
  maxWakeUps: 5_000,
  maxAckPending: 5_000,
  ackWaitMs: 10_000,
  deltasMaxBytes: 64 * 1024 * 1024,
  eventsMaxAgeMs: 7 * 24 * 60 * MINUTE_MS,
  eventsMaxBytes: 1024 * 1024 * 1024,
};

export interface NatsStreams {
  /** Makes what is missing; calls at the same time share one. Rejects when the server cannot. */
  ensure(): Promise<void>;
  /** JetStream's management over the connection that is up; null when there is none. */
  manager(): Promise<JetStreamManager | null>;
}

/** What is there already is left as it is: an operator may have given it replicas or other limits. */
export function createNatsStreams(link: NatsLink, names: NatsNames, limits: NatsLimits, clock: Clock): NatsStreams {
  let ensuring: Promise<void> | null = null;
  const manager = async () => {
    const nc = link.current();
    return nc === null ? null : await nc.jetstreamManager({ timeout: JETSTREAM_MS, checkAPI: false });
  };
  const ensure = async () => {
    const jsm = await manager();
    if (jsm === null) return;
    const ask = <T>(what: string, promise: Promise<T>) => within(clock, JETSTREAM_MS, what, promise);
    const stream = async (config: Partial<StreamConfig> & { name: string }) => {
      const there = await ask('stream', unlessMissing(jsm.streams.info(config.name)));
      if (there === null) await ask('stream', unlessThere(jsm.streams.add(config)));
    };
    const consumer = async () => {
      const { stream: of, consumer: name } = names.wakeUps;
      const there = await ask('consumer', unlessMissing(jsm.consumers.info(of, name)));
      if (there === null) await ask('consumer', unlessThere(jsm.consumers.add(of, consumerConfig(names, limits))));
    };
    const { wakeUps, deltas, events } = streamConfigs(names, limits);
    // One that cannot be made must not take the others with it.
    const made = await Promise.allSettled([stream(wakeUps).then(consumer), stream(deltas), stream(events)]);
    for (const each of made) if (each.status === 'rejected') throw each.reason;
  };
  return {
    manager,
    ensure: () => (ensuring ??= ensure().finally(() => (ensuring = null))),
  };
}

function streamConfigs(names: NatsNames, limits: NatsLimits) {
  return {
    wakeUps: {
      ...{ name: names.wakeUps.stream, subjects: [names.wakeUps.subject], description: 'Colloquy: there may be work' },
      ...{ retention: RetentionPolicy.Workqueue, storage: StorageType.File, discard: DiscardPolicy.Old },
      ...{ max_msgs: limits.maxWakeUps, max_age: nanos(60 * MINUTE_MS) },
      // Only long enough for several relays that tell of one event: what is woken again later must come through.
      duplicate_window: nanos(2_000),
    },
    deltas: {
      ...{
        name: names.deltas.stream,
        subjects: [names.deltas.subject],
        description: 'Colloquy: answers being written',
      },
      ...{ retention: RetentionPolicy.Limits, storage: StorageType.Memory, discard: DiscardPolicy.Old },
      ...{ max_bytes: limits.deltasMaxBytes, max_age: nanos(15 * MINUTE_MS), allow_rollup_hdrs: true },
    },
    events: {
      ...{ name: names.events.stream, subjects: [names.events.subject], description: 'Colloquy: committed events' },
      ...{ retention: RetentionPolicy.Limits, storage: StorageType.File, discard: DiscardPolicy.Old },
      ...{ max_bytes: limits.eventsMaxBytes, max_age: nanos(limits.eventsMaxAgeMs), allow_direct: true },
    },
  };
}

function consumerConfig(names: NatsNames, limits: NatsLimits): Partial<ConsumerConfig> {
  return {
    durable_name: names.wakeUps.consumer,
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    ack_wait: nanos(limits.ackWaitMs),
    max_ack_pending: limits.maxAckPending,
    max_waiting: 2_048,
    // With a limit, a message that reached it would stay in the work queue for ever and never be delivered: attempts
    // are counted in the log, and the stream's age ends what nobody can use.
    max_deliver: -1,
  };
}

/** The answer, or null when what was asked about does not exist. */
export async function unlessMissing<T>(promise: Promise<T>): Promise<T | null> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof NatsError && error.api_error?.code === NOT_FOUND) return null;
    throw error;
  }
}

async function unlessThere(promise: Promise<unknown>): Promise<void> {
  try {
    await promise;
  } catch (error) {
    if (!(error instanceof NatsError && TAKEN.includes(error.api_error?.err_code ?? 0))) throw error;
  }
}
