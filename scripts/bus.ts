/** How processes wake each other: NATS where NATS_URL names one, else within this process. */
import type { Announcements, Bus } from '../domain/ports.ts';
import type { Log } from '../domain/telemetry.ts';
import type { Settings } from '../infra/config.ts';
import { createMemoryBus } from '../infra/memoryBus.ts';
import { systemClock } from '../infra/system.ts';

export interface OpenBus {
  readonly bus: Bus;
  /** Null where nobody else could listen. */
  readonly announcements: Announcements | null;
  /** Whether the other processes can be reached; the engine goes on without, more slowly. */
  readonly connected: () => boolean;
  readonly close: () => Promise<void>;
}

/** @param lineage of the log: installations may share a NATS server. @throws Refusal when it cannot be used. */
export async function openBus(settings: Settings, lineage: string, log: Log): Promise<OpenBus> {
  const url = settings.NATS_URL;
  if (url === undefined) {
    const close = () => Promise.resolve();
    return { bus: createMemoryBus(), announcements: null, connected: () => true, close };
  }
  const { createNatsBus } = await import('../infra/nats.ts');
  // Until it has answered once, the check says what is wrong, in one line.
  let answered = false;
  const onFault = (error: unknown) => {
    if (answered) log.warn({ err: error }, 'NATS had trouble: the sweeper covers for it');
  };
  const bus = createNatsBus({ url, lineage, clock: systemClock, onFault });
  try {
    await bus.check();
    answered = true;
  } catch (error) {
    await bus.close();
    throw error;
  }
  return { bus, announcements: bus.announcements, connected: () => bus.connected(), close: () => bus.close() };
}
