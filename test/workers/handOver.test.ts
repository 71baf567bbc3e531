import * as assert from 'uvu/assert';
import type { RecordedEvent } from '../../domain/envelope.ts';
import type { Engine } from '../../commands/engine.ts';
import type { Clock, EventStore, WakeUp } from '../../domain/ports.ts';
import { runRelay } from '../../workers/relay.ts';
import type { WorkerRole } from '../../workers/worker.ts';
import { suite } from '../harness.ts';
import { crewOf, NEVER_MS } from './crew.ts';
import type { TestEngine, TestEngineOptions } from './engineForTests.ts';
import { checkEnded } from './logChecks.ts';
import { anAgent, history, only, open, talk, until, untilConcluded } from './talks.ts';

const test = suite('workers: going on with the turn that an answer led to');
const HALF_A_SECOND = 500;
const crew = crewOf(test);

function start(roles: readonly WorkerRole[], settings: TestEngineOptions['settings'] = {}): Promise<TestEngine> {
  return crew.start({ roles: new Set(roles), settings: { sweepMs: NEVER_MS, ...settings } });
}

test('a discussion needs one wake-up for all its turns', async () => {
  const on = await start(['relay', 'turns']);
  crew.models.open('m');
  const id = await talk(on, 'm', { limits: { maxTurns: 6 } });
  const events = await untilConcluded(on, id);
  checkEnded(events, 6);
  await new Promise((resolve) => setTimeout(resolve, HALF_A_SECOND + 200));
  const [first] = only(events, 'TurnRequested');
  assert.equal(
    crew.bus.woken.map(({ turnId }) => turnId),
    [first?.data.turnId],
  );
});

test('a worker that stops tells of the turn that its last answer led to', async () => {
  const stopping = await start(['relay', 'turns'], { drainMs: 5_000 });
  const id = await talk(stopping, 'm', { limits: { maxTurns: 3 } });
  await until(() => crew.models.waiting('m') === 1);
  const stopped = stopping.stop();
  crew.models.open('m');
  await stopped;
  const other = await start(['turns']);
  const events = await untilConcluded(other, id);
  checkEnded(events, 3);
  assert.equal(
    only(events, 'TurnClaimed').map(({ data }) => data.worker),
    [stopping.worker, other.worker, other.worker],
  );
});

test('a worker without room takes what waits longer, and tells others of the turn that its answer led to', async () => {
  const on = await start(['turns'], { concurrency: 1 });
  const agentId = await anAgent(on, 'Ada', { name: 'm' });
  const body = { participants: [{ agentId }], limits: { maxTurns: 2 } };
  const first = await open(on, body);
  const [asked] = only(await history(on, first), 'TurnRequested');
  const turnId = asked?.data.turnId ?? '';
  await crew.bus.of().wake({ kind: 'turn', project: 'default', discussionId: first, turnId, revision: 0 });
  await until(() => crew.models.waiting('m') === 1);
  const second = await open(on, body);
  await on.settled();
  crew.models.open('m', 1);
  await until(() => crew.models.calls('m').length === 1 && crew.models.waiting('m') === 1);
  assert.is(only(await history(on, second), 'TurnClaimed').length, 1, 'the other one had waited longer');
  await until(() => crew.bus.woken.length === 2);
  const next = only(await history(on, first), 'TurnRequested').at(-1);
  assert.is(crew.bus.woken[1]?.turnId, next?.data.turnId);
  assert.is(crew.bus.woken[1]?.revision, next?.revision);
});

/** What a relay tells that sees these events, when so much time has passed since. */
async function told(events: readonly RecordedEvent[], passMs: number): Promise<string[]> {
  const woken: string[] = [];
  const over = new AbortController();
  const sleeping: { ms: number; wake: () => void }[] = [];
  const nothing = () => undefined;
  const log = { info: nothing, warn: nothing, error: nothing };
  const clock: Partial<Clock> = {
    sleep: (ms) => new Promise<void>((wake) => sleeping.push({ ms, wake })),
  };
  const store: Partial<EventStore> = {
    async *subscribe() {
      yield { events, caughtUp: true };
      await Promise.resolve();
      for (const { ms, wake } of sleeping) if (ms <= passMs) wake();
    },
  };
  const engine = { store, clock } as Partial<Engine> as Engine;
  const ctx = { engine, log, bus: { wake: async ({ turnId }: WakeUp) => Promise.resolve(void woken.push(turnId)) } };
  await runRelay(ctx, 0n, over.signal);
  await new Promise(setImmediate);
  return woken;
}

function event(type: string, commandId: string, turnId: string, kind = 'worker'): RecordedEvent {
  const metadata = { actor: { kind, id: 'x' }, project: 'p', commandId, correlationId: commandId, occurredAt: '' };
  const data = { turnId, answeredBy: 'model' };
  return { id: commandId, stream: 'discussion-d', type, data, metadata, revision: 7, position: 7n } as never;
}

test('whoever follows the log tells of it when it was not claimed in half a second: its worker may have died', async () => {
  const answered = [event('TurnCompleted', 'c', 't1'), event('TurnRequested', 'c', 't2')];
  assert.equal(await told(answered, HALF_A_SECOND - 1), []);
  assert.equal(await told(answered, HALF_A_SECOND), ['t2']);
  assert.equal(await told([...answered, event('TurnClaimed', 'd', 't2')], HALF_A_SECOND), []);
  assert.equal(await told([...answered, event('TurnClaimed', 'd', 't3')], HALF_A_SECOND), ['t2']);
});

test('a turn that no worker has asked for is told of at once', async () => {
  const person = [event('TurnCompleted', 'c', 't1', 'user'), event('TurnRequested', 'c', 't2', 'user')];
  assert.equal(await told(person, 0), ['t2']);
  const other = [event('TurnCompleted', 'c', 't1'), event('TurnRequested', 'd', 't2')];
  assert.equal(await told(other, 0), ['t2']);
});
test.run();
