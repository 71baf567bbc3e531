import { LRUCache } from 'lru-cache';
import type { WakeUp } from '../domain/ports.ts';
import type { TurnEnd } from './turn.ts';
import type { WorkerContext } from './worker.ts';

/** Which turn this process runs next. */
export interface Picking {
  /** Keeps a turn for the caller, who says `left` afterwards; false when it is kept already. */
  take(turnId: string): boolean;
  /** Somebody claimed this attempt at a turn: a read model that is behind still lists it. */
  claimed(turnId: string, attempt: number): void;
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
/** Claims kept in mind: more than are made while a read model catches up. */
const MAX_CLAIMS = 1000;
/** Most turns asked for because those at the front were claimed since. */
const MAX_ASKED = 2000;
/**
 * Turns passed over until there may be places again. The query leaves out those whose agent's own model is full; each of
 * those that wait for a fall-back was prepared for nothing.
 */
const MAX_PASSED_OVER = 200;

interface Asked {
  readonly named: WakeUp | null;
  readonly dueBy: number | undefined;
  readonly answer: (turn: WakeUp | null) => void;
}

/** One query at a time: it sorts whatever waits, so a burst of free places must not ask for each of them. */
export function createPicking(ctx: Pick<WorkerContext, 'turns' | 'engine' | 'log'>): Picking {
  const { clock } = ctx.engine;
  const busy = new Set<string>();
  /** Until when, on the monotonic clock. */
  const heldBack = new Map<string, number>();
  const passedOver = new Set<string>();
  const full = new Set<string>();
  let passedOverMs = -Infinity;
  const claims = knownClaims();
  /** How many at the front of the last answer were claimed since. */
  let stale = 0;

  const take = (turnId: string) => !busy.has(turnId) && busy.add(turnId).size > 0;
  const waitingFor = async (count: number, dueBy: number): Promise<WaitingTurns> => {
    const now = clock.monotonic();
    for (const [turnId, until] of heldBack) if (until <= now) heldBack.delete(turnId);
    // Beyond it the oldest would be forgotten and picked again, in a circle that never ends. Named ones run all the same.
    if (heldBack.size >= MAX_KEPT || passedOver.size >= MAX_PASSED_OVER) return [];
    const fits = ({ turnId }: WaitingTurns[number]) => !heldBack.has(turnId) && !passedOver.has(turnId);
    for (let more = stale; ; more = 2 * stale + count) {
      const limit = busy.size + heldBack.size + passedOver.size + more + count;
      const waiting = await listed(ctx, { limit, now: dueBy, without: [...full] });
      stale = waiting.filter(claims.hold).length;
      if (stale <= more || waiting.length < limit || limit >= MAX_ASKED)
        return waiting.filter((turn) => fits(turn) && !claims.hold(turn));
    }
  };
  return {
    take,
    claimed: claims.learn,
    best: shared(async (together, dueBy) =>
      choose(together, await waitingFor(together.length, dueBy ?? clock.now()), take),
    ),
    left(turnId, end) {
      busy.delete(turnId);
      if (end?.kind === 'full') {
        full.add(end.model);
        passedOverMs = clock.monotonic();
        if (passedOver.size < MAX_PASSED_OVER) passedOver.add(turnId);
        return;
      }
      if (end?.kind === 'gone' && end.claimed > 0) claims.learn(turnId, end.claimed);
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

/** A read model that cannot be asked must not end the worker: the named one runs then. */
function listed(
  { turns, log }: Pick<WorkerContext, 'turns' | 'log'>,
  options: Parameters<WorkerContext['turns']['waiting']>[0],
): Promise<WaitingTurns> {
  return turns.waiting(options).catch((error: unknown) => {
    log.warn({ err: error }, 'the waiting turns could not be read');
    return [];
  });
}

/** The latest claims, which a read model may not show yet. */
function knownClaims() {
  const attempts = new LRUCache<string, number>({ max: MAX_CLAIMS });
  return {
    learn: (turnId: string, attempt: number): void => void attempts.set(turnId, attempt),
    /** Whether a turn that is listed as waiting was claimed since. */
    hold: (turn: WaitingTurns[number]): boolean => (attempts.get(turn.turnId) ?? 0) > turn.attempts,
  };
}

type WaitingTurns = Awaited<ReturnType<WorkerContext['turns']['waiting']>>;

/** Who asks while others are answered is answered with all who asked for the same meanwhile. */
function shared(answerAll: (together: readonly Asked[], dueBy: number | undefined) => Promise<void>): Picking['best'] {
  let asked: readonly Asked[] = [];
  let answering = false;
  const answer = async () => {
    if (answering) return;
    answering = true;
    for (let first; (first = asked[0]) !== undefined;) {
      const { dueBy } = first;
      const together = asked.filter((each) => each.dueBy === dueBy);
      asked = asked.filter((each) => each.dueBy !== dueBy);
      await answerAll(together, dueBy);
    }
    answering = false;
  };
  return (named, dueBy) =>
    new Promise((resolve) => {
      asked = [...asked, { named, dueBy, answer: resolve }];
      void answer();
    });
}

/** Gives each who asks the next turn that can be taken, then the named ones. */
function choose(together: readonly Asked[], waiting: WaitingTurns, take: Picking['take']): void {
  let at = 0;
  for (const { named, answer } of together) {
    let best: WakeUp | null = null;
    for (let turn; best === null && (turn = waiting[at]) !== undefined; at += 1) {
      const { project, discussionId, turnId } = turn;
      if (take(turnId)) best = { kind: 'turn', project, discussionId, turnId, revision: 0 };
    }
    answer(best ?? (named !== null && take(named.turnId) ? named : null));
  }
}

function pauseMs(end: TurnEnd | null): number {
  if (end?.kind === 'snooze') return end.afterMs;
  return end?.kind === 'done' ? DONE_MS : GONE_MS;
}
