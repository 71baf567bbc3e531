import * as assert from 'uvu/assert';
import type { WakeUp } from '../../domain/ports.ts';
import { systemClock } from '../../infra/system.ts';
import { createPicking } from '../../workers/picking.ts';
import type { WorkerContext } from '../../workers/worker.ts';
import { suite } from '../harness.ts';

const test = suite('workers: which turn is picked');
type Waiting = Awaited<ReturnType<WorkerContext['turns']['waiting']>>;

const nothing = () => undefined;
const log = { info: nothing, warn: nothing, error: nothing };

function turnsOf(count: number): Waiting {
  const rest = { project: 'p', participantId: 'a', number: 1, attempts: 0, priority: 0 };
  return Array.from({ length: count }, (_, i) => ({ turnId: `t${i}`, discussionId: `d${i}`, ...rest }));
}

/** Picks from a read model that lists the same turns for ever. */
function pickingFrom(turns: Waiting, before: (limit: number) => Promise<void> = () => Promise.resolve()) {
  const waiting: WorkerContext['turns']['waiting'] = async ({ limit }) => {
    await before(limit);
    return turns.slice(0, limit);
  };
  const queries = { waiting } as Partial<WorkerContext['turns']> as WorkerContext['turns'];
  const engine = { clock: systemClock } as Partial<WorkerContext['engine']> as WorkerContext['engine'];
  return createPicking({ turns: queries, engine, log });
}

const named: WakeUp = { kind: 'turn', project: 'p', discussionId: 'd', turnId: 'named', revision: 0 };

test('those who ask while a query is under way share the next one, and each gets another turn', async () => {
  const limits: number[] = [];
  let answer: () => void = nothing;
  const picking = pickingFrom(turnsOf(20), (limit) => {
    limits.push(limit);
    return new Promise((resolve) => (answer = resolve));
  });
  const picks = [named, null, null, null, null].map((each) => picking.best(each));
  assert.equal(limits, [1]);
  answer();
  while (limits.length < 2) await new Promise(setImmediate);
  assert.equal(limits, [1, 5], 'one for the first, one for the four that waited behind what is busy');
  answer();
  const picked = (await Promise.all(picks)).map((each) => each?.turnId);
  assert.equal(picked, ['t0', 't1', 't2', 't3', 't4'], 'in the order of those who asked');
});

test('who comes when there are no more turns gets the named one, or none', async () => {
  const picking = pickingFrom(turnsOf(1));
  const picked = await Promise.all([picking.best(null), picking.best(null), picking.best(named), picking.best(named)]);
  assert.equal(
    picked.map((each) => each?.turnId ?? null),
    ['t0', null, 'named', null],
  );
});

test('looks at turns that have to wait come to an end, however many there are', async () => {
  const ends = [{ kind: 'snooze', afterMs: 600_000 } as const, { kind: 'full', model: 'offline/other' } as const];
  for (const end of ends) {
    const picking = pickingFrom(turnsOf(3_000));
    let picks = 0;
    for (let turn; picks < 5_000 && (turn = await picking.best(null)) !== null; picks += 1)
      picking.left(turn.turnId, end);
    assert.ok(picks <= 1_000, `${end.kind}: ${picks} picks`);
    assert.is((await picking.best(named))?.turnId, 'named', 'a wake-up is followed all the same');
  }
});

test('what a read model that is behind still lists is not picked again; its next attempt is', async () => {
  const turns = turnsOf(5);
  const picking = pickingFrom(turns);
  picking.claimed('t0', 1);
  picking.claimed('t1', 1);
  assert.is((await picking.best(null))?.turnId, 't2', 'however many were claimed');
  picking.left('t2', { kind: 'gone', claimed: Infinity });
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  assert.is((await picking.best(null))?.turnId, 't3', 'what was found to be over is not looked at again');
  Object.assign(turns[1] ?? {}, { attempts: 1 });
  assert.is((await picking.best(null))?.turnId, 't1', 'the first attempt has failed since');
});

test.run();
