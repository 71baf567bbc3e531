import type { Bus, Delta, WakeUp } from '../domain/ports.ts';
import { leavable } from './leavable.ts';

/** Wake-ups kept while nobody waits; the oldest are dropped, the sweeper finds their work. */
const MAX_WAKE_UPS = 10_000;
/** Turns whose deltas are kept for late readers. */
const MAX_TURNS = 2000;
/** Deltas of a turn that are kept; no answer that is taken has more. */
const MAX_DELTAS = 100_000;
/** Deltas a reader may be behind before it loses the oldest. */
const MAX_BEHIND = 5000;

/** One reader's queue of deltas. */
interface Reader {
  readonly wants: { project: string; discussionId?: string };
  readonly queue: Delta[];
  wake: () => void;
}

/** The bus of a single process: wake-ups and deltas in memory, gone with it. */
export function createMemoryBus(): Bus {
  const waiting = new Map<string, WakeUp>();
  const takers: ((wakeUp: WakeUp) => void)[] = [];
  const turns = new Map<string, Delta[]>();
  const readers = new Set<Reader>();
  return {
    wake(wakeUp) {
      const taker = takers.shift();
      if (taker !== undefined) taker(wakeUp);
      else {
        // A turn that waits already is not queued twice: sweeps repeat themselves.
        waiting.set(wakeUp.turnId, wakeUp);
        if (waiting.size > MAX_WAKE_UPS) waiting.delete(firstKey(waiting));
      }
      return Promise.resolve();
    },
    wakeUps: ({ signal: given }) =>
      leavable(given, async function* (signal) {
        while (!signal.aborted) {
          const wakeUp = take(waiting) ?? (await nextOf(takers, signal));
          if (wakeUp === null) return;
          yield { wakeUp, ack: () => undefined };
        }
      }),
    publish(delta) {
      remember(turns, delta);
      for (const reader of readers) {
        if (!matches(reader.wants, delta)) continue;
        if (reader.queue.length >= MAX_BEHIND) reader.queue.shift();
        reader.queue.push(delta);
        reader.wake();
      }
    },
    endTurn: (turnId) => void turns.delete(turnId),
    deltas: (wants, { signal: given }) =>
      leavable(given, async function* (signal) {
        const queue = [...turns.values()].flat().filter((delta) => matches(wants, delta));
        const reader: Reader = { wants, queue, wake: () => undefined };
        readers.add(reader);
        const onAbort = () => reader.wake();
        signal.addEventListener('abort', onAbort);
        try {
          while (!signal.aborted) {
            const delta = queue.shift();
            if (delta !== undefined) yield delta;
            else await new Promise<void>((resolve) => (reader.wake = resolve));
          }
        } finally {
          signal.removeEventListener('abort', onAbort);
          readers.delete(reader);
        }
      }),
  };
}

function take(waiting: Map<string, WakeUp>): WakeUp | null {
  for (const [turnId, wakeUp] of waiting) {
    waiting.delete(turnId);
    return wakeUp;
  }
  return null;
}

/** The next wake-up, or null when the signal aborts; nothing is left behind in `takers`. */
function nextOf(takers: ((wakeUp: WakeUp) => void)[], signal: AbortSignal): Promise<WakeUp | null> {
  return new Promise((resolve) => {
    const taker = (wakeUp: WakeUp) => {
      signal.removeEventListener('abort', onAbort);
      resolve(wakeUp);
    };
    const onAbort = () => {
      const at = takers.indexOf(taker);
      if (at >= 0) takers.splice(at, 1);
      resolve(null);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    takers.push(taker);
  });
}

/** A new attempt's deltas replace those of the one before. */
function remember(turns: Map<string, Delta[]>, delta: Delta): void {
  const kept = turns.get(delta.turnId);
  const attempt = kept?.[0]?.attempt ?? 0;
  // What an attempt still writes that was taken over must not push out the one that took over.
  if (delta.attempt < attempt) return;
  if (kept === undefined || attempt < delta.attempt) turns.set(delta.turnId, [delta]);
  else if (kept.length < MAX_DELTAS) kept.push(delta);
  if (turns.size > MAX_TURNS) turns.delete(firstKey(turns));
}

function firstKey(map: Map<string, unknown>): string {
  for (const key of map.keys()) return key;
  return '';
}

function matches(wants: Reader['wants'], delta: Delta): boolean {
  if (wants.project !== '*' && wants.project !== delta.project) return false;
  return wants.discussionId === undefined || wants.discussionId === delta.discussionId;
}
