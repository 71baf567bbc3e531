/** Opens logs in EventStoreDB for tests: on the stand-in, or on a real server. */
import { createEventStoreDb, type EventStoreDB, type EventStoreDbOptions } from '../../infra/eventstoredb.ts';
import { systemClock } from '../../infra/system.ts';
import { plainCodec } from '../contracts/sampleEvents.ts';
import { type EventStoreStandin, startEventStoreStandin } from '../standins/eventstoredb.ts';

/** Real time. */
export const systemSleep = systemClock;

export interface StandinLog {
  readonly server: EventStoreStandin;
  readonly store: EventStoreDB;
  /** What the stores dealt with by themselves. */
  readonly errors: Error[];
  /** A second store on the same server, with its own connection where its name differs. */
  another(changes?: Partial<EventStoreDbOptions>): EventStoreDB;
  stop(): Promise<void>;
}

/** A store on a stand-in of its own, with short deadlines where a test is about them. */
export async function standinLog(changes: Partial<EventStoreDbOptions> = {}): Promise<StandinLog> {
  const server = await startEventStoreStandin();
  const errors: Error[] = [];
  const opened: EventStoreDB[] = [];
  const another = (more: Partial<EventStoreDbOptions> = {}): EventStoreDB => {
    const onError = (error: Error): void => void errors.push(error);
    const store = createEventStoreDb({
      ...{ url: server.url, codec: plainCodec, clock: systemClock, onError },
      ...changes,
      ...more,
    });
    opened.push(store);
    return store;
  };
  return {
    server,
    store: another(),
    errors,
    another,
    async stop() {
      await Promise.all(opened.map((store) => store.close()));
      await server.stop();
    },
  };
}

/** A store on the server at `url`, which may hold anything. */
export async function realLog(url: string): Promise<{ store: EventStoreDB; stop(): Promise<void> }> {
  const store = createEventStoreDb({ url, codec: plainCodec, clock: systemClock, onError: () => undefined });
  await store.check();
  return { store, stop: () => store.close() };
}
