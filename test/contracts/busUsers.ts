/** Those who use a bus in its suite. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Bus, Delta, WakeUp } from '../../domain/ports.ts';

/** A wake-up for a turn that no other test uses. */
export function wakeUp(more: Partial<WakeUp> = {}): WakeUp {
  return { kind: 'turn', project: 'default', discussionId: randomUUID(), turnId: randomUUID(), revision: 3, ...more };
}

/** A delta of the one turn that tests write, unless told otherwise. */
export function delta(more: Partial<Delta> = {}): Delta {
  return { project: 'default', discussionId: 'd', turnId: 't', attempt: 1, offset: 0, text: 'x', ...more };
}

/** Takes and acknowledges wake-ups until told to stop. */
export function consumer(bus: Bus): { readonly got: WakeUp[]; stop(): Promise<void> } {
  const abort = new AbortController();
  const got: WakeUp[] = [];
  const taking = (async () => {
    for await (const each of bus.wakeUps({ signal: abort.signal })) {
      got.push(each.wakeUp);
      each.ack();
    }
  })();
  return {
    got,
    async stop() {
      abort.abort();
      await taking;
    },
  };
}

/** Reads deltas until told to stop. */
export function reader(
  bus: Bus,
  wants: Parameters<Bus['deltas']>[0],
): { readonly got: Delta[]; stop(): Promise<void> } {
  const abort = new AbortController();
  const got: Delta[] = [];
  const reading = (async () => {
    for await (const each of bus.deltas(wants, { signal: abort.signal })) got.push(each);
  })();
  return {
    got,
    async stop() {
      abort.abort();
      await reading;
    },
  };
}

/** Rejects when the condition has not come true after `withinMs`. */
export async function until(holds: () => boolean, withinMs = 8_000): Promise<void> {
  const start = performance.now();
  while (!holds()) {
    if (performance.now() - start > withinMs) throw new Error(`did not come true within ${withinMs} ms`);
    await delay(5);
  }
}
