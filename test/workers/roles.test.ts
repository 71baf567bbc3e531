import * as assert from 'uvu/assert';
import { cancelTurn } from '../../commands/cancelTurn.ts';
import type { WorkerRole } from '../../workers/worker.ts';
import { suite } from '../harness.ts';
import { crewOf, NEVER_MS } from './crew.ts';
import type { TestEngine, TestEngineOptions } from './engineForTests.ts';
import { checkEnded } from './logChecks.ts';
import { anAgent, asked, only, open, talk, until, untilConcluded, untilEvent } from './talks.ts';

const test = suite('workers: roles');
const crew = crewOf(test);

function start(roles: readonly WorkerRole[], settings: TestEngineOptions['settings'] = {}): Promise<TestEngine> {
  return crew.start({ roles: new Set(roles), settings: { drainMs: 1, ...settings } });
}

test('one process tells of work, another does it: a turn in one runs at the word of the other', async () => {
  const relay = await start(['relay']);
  const turns = await start(['turns'], { sweepMs: NEVER_MS });
  crew.models.open('m');
  const id = await talk(relay, 'm', { limits: { maxTurns: 5 } });
  const events = await untilConcluded(relay, id);
  checkEnded(events, 5);
  assert.ok(only(events, 'TurnClaimed').every(({ data }) => data.worker === turns.worker));
});

test('a worker alone, without relay and sweeper, finds its turns and stops those that are cancelled', async () => {
  const on = await start(['turns']);
  const id = await talk(on, 'm', { limits: { maxTurns: 2 } });
  const events = await untilEvent(on, id, ({ type }) => type === 'TurnClaimed');
  await until(() => crew.models.waiting('m') === 1);
  crew.models.script('m', () => [{ say: 'The second.' }]);
  await cancelTurn(on.engine, id, only(events, 'TurnClaimed')[0]?.data.turnId ?? '', asked(on));
  await untilEvent(on, id, ({ type }) => type === 'TurnAttemptAbandoned');
  crew.models.open('m');
  await untilConcluded(on, id);
  assert.equal(crew.bus.woken, [], 'it has told nobody');
});

test('without the role turns nothing is claimed: what is requested waits on the bus for others', async () => {
  const watching = await start(['relay', 'sweeper']);
  crew.models.open('m');
  const id = await talk(watching, 'm', { limits: { maxTurns: 1 } });
  await until(() => crew.bus.woken.length >= 2);
  assert.is(crew.bus.unacknowledged(), 0, 'nobody took any');
  assert.is(crew.models.calls('m').length, 0);
  await start(['turns'], { sweepMs: NEVER_MS });
  checkEnded(await untilConcluded(watching, id), 1);
});

test('a sweeper alone ends the attempt of a dead worker, and a worker alone goes on', async () => {
  const dying = await start(['turns']);
  const id = await talk(dying, 'm', { limits: { maxTurns: 1 } });
  await until(() => crew.models.waiting('m') === 1);
  await dying.kill();
  crew.models.open('m');
  const sweeper = await start(['sweeper']);
  await untilEvent(sweeper, id, ({ type }) => type === 'TurnAttemptAbandoned');
  const alone = await start(['turns'], { sweepMs: NEVER_MS });
  const events = await untilConcluded(sweeper, id);
  checkEnded(events, 1);
  assert.is(only(events, 'TurnClaimed').at(-1)?.data.worker, alone.worker);
  assert.is(sweeper.counted('turn_takeovers_total'), 1);
});

test('three sweepers and a long queue do not fill the bus', async () => {
  const sweepers = [await start(['sweeper']), await start(['sweeper']), await start(['sweeper'])];
  const [on] = sweepers;
  assert.ok(on);
  const agentId = await anAgent(on, 'Ada', { name: 'm' });
  const body = { participants: [{ agentId }], limits: { maxTurns: 1 } };
  for (let i = 0; i < 4; i += 1) await Promise.all(Array.from({ length: 50 }, () => open(on, body)));
  // Whoever was woken at a first sweep would be woken again at each of these.
  const listed = new Map<TestEngine, number>();
  const watched = sweepers.map((each) => {
    const { waiting } = each.turns;
    Object.assign(each.turns, {
      waiting: (options: Parameters<typeof waiting>[0]) => {
        listed.set(each, (listed.get(each) ?? 0) + 1);
        return waiting(options);
      },
    });
    return each;
  });
  await until(() => watched.every((each) => (listed.get(each) ?? 0) >= 6), 9_000);
  assert.ok(crew.bus.woken.length > 0, 'they do wake what seems forgotten');
  assert.ok(crew.bus.woken.length <= 3 * 100, `${crew.bus.woken.length} wake-ups`);
});
test.run();
