import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { present, type Claim } from '../../../domain/discussion/state.ts';
import { discussionEvents } from '../../../domain/discussion/events.ts';
import { agent, post, promptRecord, usage } from '../given.ts';
import { textContent } from '../../../domain/content.ts';
import { suite } from '../../harness.ts';
import { audited, checkAgainstLog, checkBudget, checkLiveness } from './invariants.ts';
import { ask, begin, settingArbitrary, stepArbitrary, take, type World } from './world.ts';

const test = suite('discussion: any interleaving');

const RUNS = 500;
const historyArbitrary = fc.tuple(
  settingArbitrary,
  fc.array(stepArbitrary, { minLength: 10, maxLength: 100, size: 'max' }),
);

function held(world: World): Claim[] {
  const { state } = world;
  return state.status === 'none' ? [] : [...state.unsettled, ...(state.turn?.claim ? [state.turn.claim] : [])];
}

/** The command by which a live worker or the sweeper settles an attempt. */
function settling({ turnId, attempt, worker, incarnation }: Claim) {
  const by = { turnId, attempt, worker, incarnation };
  const why = { reason: 'lease_lost', detail: 'its worker is gone', usage: usage(1, 0) } as const;
  return { kind: 'abandonTurn', ...by, ...why, retryable: true, retryAfterMs: 0, halveWindow: false } as const;
}

test(
  'numbers, fences, tokens, budget, liveness and the fold hold whatever is asked in whatever order',
  () => {
    const seen = new Map<string, number>();
    let refused = 0;
    fc.assert(
      fc.property(historyArbitrary, fc.nat(), ([setting, steps], cut) => {
        const world = begin(setting);
        checkLiveness(world);
        for (const step of steps) {
          const before = world.log.length;
          take(world, step);
          if (world.log.length === before) continue;
          checkLiveness(world);
          checkBudget(world, audited(world.log));
        }
        checkAgainstLog(world, cut % (world.log.length + 1));
        for (const { event } of world.log) seen.set(event.type, (seen.get(event.type) ?? 0) + 1);
        refused += world.refused;
      }),
      { numRuns: RUNS, includeErrorInReport: true },
    );
    for (const type of Object.keys(discussionEvents))
      assert.ok((seen.get(type) ?? 0) >= 10, `${type} was hardly tried`);
    assert.ok(refused > RUNS, 'mistakes were tried too');
  },
  { deadlineMs: 60_000 },
);

test(
  'after any history every attempt can be settled exactly once, and the discussion comes to its end',
  () => {
    fc.assert(
      fc.property(historyArbitrary, ([setting, steps]) => {
        const world = begin(setting);
        for (const step of steps) take(world, step);
        for (const claim of held(world)) {
          assert.ok(ask(world, settling(claim)), 'settled');
          assert.not.ok(ask(world, settling(claim)), 'and only once');
        }
        assert.equal(held(world), []);
        let moves = 0;
        for (; !ended(world); moves += 1) {
          assert.ok(moves < 400, 'does not come to its end');
          goOn(world);
        }
        const audit = audited(world.log);
        assert.equal([audit.open, audit.outstanding.size], [null, 0]);
      }),
      { numRuns: 300, includeErrorInReport: true },
    );
  },
  { deadlineMs: 60_000 },
);

function ended({ state }: World): boolean {
  return state.status === 'concluded';
}

/** What a healthy system does next. */
function goOn(world: World): void {
  const { state } = world;
  if (state.status === 'none') throw new Error('never opened');
  if (state.status === 'paused') return accepted(world, { kind: 'resume' });
  const { turn } = state;
  const somebody = present(state)[0];
  if (turn === null && somebody === undefined) return accepted(world, { kind: 'join', participant: agent('Zed') });
  if (turn === null) return accepted(world, { kind: 'requestTurn', participantId: somebody?.participantId ?? '' });
  const { turnId } = turn;
  if (turn.answeredBy === 'participant') return accepted(world, post('Eve', 'Done.', { turnId, onBehalf: true }));
  const by = { turnId, attempt: turn.attempts + 1, worker: 'healthy', incarnation: 'i' };
  accepted(world, { kind: 'claimTurn', ...by, leaseMs: 15_000, reserved: 10, prompt: promptRecord });
  if (ended(world)) return;
  const timing = { firstTokenMs: null, totalMs: 1 };
  const answer = { content: textContent('Done.'), usage: usage(5, 5), finishReason: 'end_turn', timing } as const;
  accepted(world, { kind: 'completeTurn', ...by, ...answer });
}

function accepted(world: World, command: Parameters<typeof ask>[1]): void {
  if (command.kind === 'post') {
    // A late answer is refused: then the sweeper's skip is what ends the turn.
    if (ask(world, command)) return;
    command = { kind: 'skipTurn', turnId: command.turnId ?? '' };
  }
  assert.ok(ask(world, command), `${command.kind} was refused`);
}

test.run();
