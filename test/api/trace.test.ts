import * as assert from 'uvu/assert';
import type { RecordedEvent } from '../../domain/envelope.ts';
import { suite } from '../harness.ts';
import { startServiceForTests, type TestService } from './serviceForTests.ts';
import { expected, logOf, quietDiscussion, shown, talkingDiscussion, turnIn, UNKNOWN } from './serviceScenes.ts';

const test = suite('traces');
let on: TestService;
test.before(async () => void (on = await startServiceForTests()));
test.after(() => on.stop());

interface Step {
  readonly relation: string;
  readonly commandId: string;
  readonly requestId: string | null;
  readonly causationId: string | null;
  readonly actor: { kind: string; id: string };
  readonly events: readonly { id: string; type: string; turnId: string | null; attempt: number | null }[];
}

const stepsOf = (body: { readonly data: Record<string, unknown>[] }) =>
  body.data as readonly object[] as readonly Step[];

async function ended(): Promise<string> {
  const { id } = await talkingDiscussion(on, 3);
  await shown(on, `/discussions/${id}`, (body) => body['status'] === 'concluded');
  await on.service.running.reads.waitFor(await on.service.running.storage.store.head(), ['commands'], {
    timeoutMs: 8_000,
    signal: new AbortController().signal,
  });
  return id;
}

test('an event leads to the request before it and to the turns behind it, oldest first', async () => {
  const id = await ended();
  const events = await logOf(on, id);
  const completed = events.filter(({ type }) => type === 'TurnCompleted');
  const middle = completed[1];
  const body = expected(await on.get(`/events/${String(middle?.['id'])}/trace`), 200);
  assert.is(body['found'], 'event');
  const steps = stepsOf(body);
  const [first] = steps;
  assert.equal([first?.relation, first?.events[0]?.type], ['cause', 'DiscussionOpened']);
  assert.ok(first?.requestId, 'the HTTP request is named');
  assert.equal(first?.actor, { kind: 'user', id: 'administrator' });
  const asked = steps.find(({ relation }) => relation === 'asked');
  assert.is(asked?.commandId, middle?.['commandId']);
  assert.is(asked?.actor.kind, 'worker');
  assert.ok(steps.some(({ relation, events: own }) => relation === 'consequence' && own[0]?.type === 'TurnClaimed'));
  const positions = steps.map(({ events: own }) => events.findIndex((each) => each['id'] === own[0]?.id));
  assert.equal(
    positions,
    positions.toSorted((a, b) => a - b),
  );

  const byCommand = expected(await on.get(`/events/${String(middle?.['commandId'])}/trace`), 200);
  assert.equal([byCommand['found'], byCommand.data], ['command', body.data]);
  const byRequest = expected(await on.get(`/traces?id=${first?.requestId}`), 200);
  assert.is(byRequest['found'], 'request');
  const written = new Set(stepsOf(byRequest).flatMap((step) => step.events.map((each) => each.id)));
  assert.equal(
    events.filter((each) => !written.has(String(each['id']))),
    [],
    'the whole run follows from one request',
  );
  const few = expected(await on.get(`/events/${String(middle?.['id'])}/trace?limit=3`), 200);
  assert.equal([few.data.length, few['omitted']], [3, steps.length - 3]);
  assert.is(stepsOf(few)[0]?.commandId, first?.commandId);
});

test('nothing is told of what one may not read, and nothing said is shown', async () => {
  const { id } = await quietDiscussion(on);
  const [event] = await logOf(on, id);
  const token = await on.mint({ kind: 'user', id: 'eve', grants: [{ project: 'elsewhere', role: 'administrator' }] });
  const path = `/events/${String(event?.['id'])}/trace`;
  assert.equal(
    expected(await on.get(path, { token }), 404).detail,
    expected(await on.get(`/events/${UNKNOWN}/trace`, { token }), 404).detail,
  );
  assert.not.match(JSON.stringify(expected(await on.get(path), 200)), /Tea/);
  expected(await on.get('/traces?id=nobody.asked'), 404, 'not-found');
  const stream = expected(await on.get(`${path}?stream=discussion-${id}`), 200);
  assert.is(stream['found'], 'event');
});

test('who, when and why stand in every event of a full run: requests, turns, failures, takeovers, deadlines', async () => {
  await ended();
  const opened = await quietDiscussion(on, {
    participants: [{ userId: 'grace', answerWithinSeconds: 1 }],
    limits: { maxTurns: 1 },
  }).catch(() => quietDiscussion(on));
  await on.post(`/discussions/${opened.id}/turns/${turnIn(opened)}/cancel`);
  const requested = new Set<string>();
  let workers = 0;
  for await (const event of on.service.running.storage.store.readAll(0n)) {
    assertComplete(event);
    if (event.metadata.actor.kind === 'worker') {
      workers += 1;
      assert.ok(requested.has(event.metadata.causationId ?? ''), `${event.type} names the event that caused it`);
    } else assert.ok(event.metadata.requestId, `${event.type} names its request`);
    requested.add(event.id);
  }
  assert.ok(workers > 6, `${workers} events of workers`);
});

function assertComplete({ type, metadata }: RecordedEvent): void {
  const { actor, project, occurredAt, commandId, correlationId } = metadata;
  for (const [name, value] of Object.entries({ ...actor, project, occurredAt, commandId, correlationId }))
    assert.ok(typeof value === 'string' && value !== '', `${type} has ${name}`);
}

test.run();
