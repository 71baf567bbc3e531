import type { WakeUp } from '../domain/ports.ts';
import type { TurnEnd } from './turn.ts';
import type { WorkerContext } from './worker.ts';

/** Which turn this process runs next. */
export interface Picking {
  /** Keeps a turn for the caller, who says `left` afterwards; false when it is kept already. */
  take(turnId: string): boolean;
  /**
   * Takes the best waiting turn of the read model whose model has room; when there is none, the named one, which the read
   * model may not have seen yet. Null when there is nothing to run. Never rejects.
   * @param dueBy only turns due at this time, milliseconds since the epoch; now unless told.
   */
  best(named: WakeUp | null, dueBy?: number): Promise<WakeUp | null>;
  /** A turn that was taken is not run any more; null when that failed. */
  left(turnId: string, end: TurnEnd | null): void;
  /** Whether turns wait for a place at their model. */
  passing(): boolean;
  /** When, on the monotonic clock, a turn was passed over last. */
  passedOverMs(): number;
  /** There may be places again: turns that were passed over are looked at anew. */
  retry(): void;
}

/** How long a turn is not picked again after it has ended here: a read model that is behind still lists it. */
const DONE_MS = 2_000;
const GONE_MS = 1_000;
/** Turns kept in mind that are not to be picked: more than end while a read model catches up. */
const MAX_KEPT = 1000;

/** Picks one at a time, so that a burst of free places asks the database with one connection. */
export function createPicking(ctx: Pick<WorkerContext, 'turns' | 'engine' | 'log'>): Picking {
  const { clock } = ctx.engine;
  const busy = new Set<string>();
  /** Until when, on the monotonic clock. */
  const heldBack = new Map<string, number>();
  const passedOver = new Set<string>();
  const full = new Set<string>();
  let passedOverMs = -Infinity;
  let before: Promise<unknown> = Promise.resolve();

  const take = (turnId: string) => !busy.has(turnId) && busy.add(turnId).size > 0;
  const choose = async (named: WakeUp | null, dueBy: number): Promise<WakeUp | null> => {
    const now = clock.monotonic();
    for (const [turnId, until] of heldBack) if (until <= now) heldBack.delete(turnId);
    const limit = busy.size + heldBack.size + passedOver.size + 1;
    // A read model that cannot be asked must not end the worker: the named one runs then.
    const waiting = await ctx.turns.waiting({ limit, now: dueBy, without: [...full] }).catch((error: unknown) => {
      ctx.log.warn({ err: error }, 'the waiting turns could not be read');
      return [];
    });
    const first = waiting.find(({ turnId }) => !heldBack.has(turnId) && !passedOver.has(turnId) && take(turnId));
    if (first === undefined) return named !== null && take(named.turnId) ? named : null;
    const { project, discussionId, turnId } = first;
    return { kind: 'turn', project, discussionId, turnId, revision: 0 };
  };
  return {
    take,
    best(named, dueBy) {
      const next = before.then(() => choose(named, dueBy ?? clock.now()));
      before = next;
      return next;
    },
    left(turnId, end) {
      busy.delete(turnId);
      if (end?.kind === 'full') {
        full.add(end.model);
        passedOverMs = clock.monotonic();
        passedOver.add(turnId);
        if (passedOver.size > MAX_KEPT) passedOver.clear();
        return;
      }
      const until = Math.max(heldBack.get(turnId) ?? 0, clock.monotonic() + pauseMs(end));
      heldBack.delete(turnId);
      heldBack.set(turnId, until);
      for (const oldest of heldBack.keys()) {
        if (heldBack.size <= MAX_KEPT) break;
        heldBack.delete(oldest);
      }
    },
    passing: () => full.size > 0,
    passedOverMs: () => passedOverMs,
    retry() {
      full.clear();
      passedOver.clear();
    },
  };
}

function pauseMs(end: TurnEnd | null): number {
  if (end?.kind === 'snooze') return end.afterMs;
  return end?.kind === 'done' ? DONE_MS : GONE_MS;
}
