/** An installation of its own on a NATS server that others use too. */
import { randomUUID } from 'node:crypto';
import { connect, type JetStreamManager, type NatsConnection } from 'nats';
import { createNatsBus, type NatsBus, type NatsBusOptions } from '../../infra/nats.ts';
import { natsNames, type NatsNames } from '../../infra/natsNames.ts';
import { dropNatsStreams } from '../services.ts';
import { wallClock } from '../standins/wallClock.ts';

export interface Installation {
  readonly lineage: string;
  readonly names: NatsNames;
  /** What the buses told of, newest last. */
  readonly faults: string[];
  /** One process's bus; closed by `stop`. */
  bus(options?: Partial<NatsBusOptions>): NatsBus;
  /** A client of our own, for looking from outside. */
  client(): Promise<NatsConnection>;
  manager(): Promise<JetStreamManager>;
  /** Everything on the stream of events, in order. */
  announced(): Promise<{ seq: number; subject: string; id: string; body: unknown }[]>;
  /** Closes buses and clients, and deletes the streams unless the server has gone. */
  stop(): Promise<void>;
}

/** An installation with a new lineage on the server at `url`. */
export function natsInstallation(url: string, lineage: string = randomUUID()): Installation {
  const names = natsNames(lineage);
  const faults: string[] = [];
  const buses: NatsBus[] = [];
  let opened: Promise<NatsConnection> | undefined;
  const client = () => (opened ??= connect({ servers: url.replace(/\/\/.*@/, '//'), maxReconnectAttempts: -1 }));
  const manager = async () => await (await client()).jetstreamManager();
  return {
    ...{ lineage, names, faults, client, manager },
    bus(options = {}) {
      const onFault = (error: unknown) => void faults.push(error instanceof Error ? error.message : String(error));
      const bus = createNatsBus({ url, lineage, clock: wallClock, onFault, ...options });
      buses.push(bus);
      return bus;
    },
    async announced() {
      const jsm = await manager();
      const { state } = await jsm.streams.info(names.events.stream);
      const all: { seq: number; subject: string; id: string; body: unknown }[] = [];
      for (let seq = state.first_seq; state.messages > 0 && seq <= state.last_seq; seq += 1) {
        const message = await jsm.streams.getMessage(names.events.stream, { seq });
        all.push({ seq, subject: message.subject, id: message.header.get('Nats-Msg-Id'), body: message.json() });
      }
      return all;
    },
    async stop() {
      await Promise.all(buses.map((bus) => bus.close()));
      await (await opened)?.close();
      await dropNatsStreams(url, lineage.slice(-12)).catch(() => undefined);
    },
  };
}
