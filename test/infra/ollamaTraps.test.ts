/** The traps of Ollama that lie in calling it: cancelling, loading, queueing. */
import * as assert from 'uvu/assert';
import { collected, failureOf, textOf } from '../contracts/languageModelCalls.ts';
import { suite } from '../harness.ts';
import { ollamaFixture, until } from '../standins/ollamaFixture.ts';

const test = suite('Ollama traps: calls');
const own = ollamaFixture(test);
const soon = { firstByteMs: 150, chunkMs: 150, totalMs: 1_000 };

for (const way of ['break', 'throw', 'return'] as const)
  test(`O1: leaving the loop by ${way} closes the connection`, async () => {
    own.standin.writes(500);
    const answer = own.model.generate(
      {
        model: 'smollm2',
        messages: [{ role: 'user', content: 'x' }],
        parameters: {},
        deadlines: { firstByteMs: 5_000, chunkMs: 5_000, totalMs: 9_000 },
      },
      { signal: new AbortController().signal },
    );
    const leave = async (): Promise<void> => {
      for await (const event of answer) {
        if (way === 'throw') throw new Error(event.type);
        if (way === 'return') return;
        break;
      }
    };
    await leave().catch(() => undefined);
    await until(() => own.standin.chats()[0]?.cut === true && own.standin.working() === 0);
  });

test('O2: after an abort while the prompt is read, the slot stays taken for as long as the reading takes', async () => {
  const stop = new AbortController();
  const messages = [{ role: 'user' as const, content: 'word '.repeat(160) }];
  await collected(own.subject, {});
  own.standin.fail('stallBeforeFirstByte');
  setTimeout(() => stop.abort(), 100);
  await failureOf(own.subject, { messages }, stop.signal);
  own.standin.fail(null);
  const freedAt = performance.now();
  await collected(own.subject, {});
  const waitedMs = (own.standin.chats().at(-1)?.at ?? 0) - freedAt;
  assert.ok(waitedMs > 1_000 && waitedMs < 8_000, `200 tokens at 100 a second, waited ${waitedMs} ms`);
});

test('O3: a model is loaded before its first call, whatever the deadline of the first byte', async () => {
  own.standin.delays.loadMs = 1_200;
  assert.ok(
    textOf(await collected(own.subject, { deadlines: { firstByteMs: 800, chunkMs: 800, totalMs: 4_000 } })) !== '',
  );
  assert.equal(
    own.standin.requests
      .filter(({ path }) => path === '/api/chat')
      .map(({ body }) => (body['messages'] as unknown[]).length),
    [0, 2],
  );
});

test('O3: a load goes on when the caller gives up, and serves the next call', async () => {
  own.standin.delays.loadMs = 300;
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 100);
  assert.is((await failureOf(own.subject, {}, stop.signal)).reason, 'cancelled');
  await collected(own.subject, {});
  assert.is(own.standin.requests.filter(({ path, cut }) => path === '/api/chat' && cut).length, 0);
  assert.is(own.standin.requests.filter(({ path }) => path === '/api/chat').length, 2);
});

test('O4, O5: cancelling one call leaves the others alone', async () => {
  own.use({ maxConcurrent: 2 });
  own.standin.writes(40);
  await own.model.warmUp('smollm2', { signal: new AbortController().signal });
  const stop = new AbortController();
  const [cancelled, other] = await Promise.all([
    failureOf(own.subject, { parameters: {} }, stop.signal, () => stop.abort()),
    collected(own.subject, { parameters: {} }),
  ]);
  assert.is(cancelled.reason, 'cancelled');
  assert.is(other.at(-1)?.type, 'done');
});

test('O5: an abort before the headers ends the call and closes the connection', async () => {
  own.standin.fail('stallBeforeFirstByte');
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 100);
  const failure = await failureOf(own.subject, {}, stop.signal);
  assert.is(failure.reason, 'cancelled');
  assert.is(failure.usage?.outputTokens, 0);
  await until(() => own.standin.chats()[0]?.cut === true);
});

test('O16: a runner that dies is a failure worth another attempt, which loads the model first', async () => {
  for (const fault of ['runnerDiesBefore', 'runnerDiesDuring'] as const) {
    const failure = await own.failing(fault);
    assert.is(failure.reason, 'error', fault);
    assert.is(failure.retryable, true, fault);
    const before = own.standin.requests.length;
    await collected(own.subject, {});
    assert.equal(
      own.standin.requests.slice(before).map(({ body }) => (body['messages'] as unknown[]).length),
      [0, 2],
      fault,
    );
  }
});

test('O17: calls wait with us, in order, and the server never has more than its slots', async () => {
  own.standin.delays.frameMs = 5;
  await own.model.warmUp('smollm2', { signal: new AbortController().signal });
  let most = 0;
  const watch = setInterval(() => (most = Math.max(most, own.standin.working())), 1);
  await Promise.all([1, 2, 3, 4].map((seed) => collected(own.subject, { parameters: { seed } }))).finally(() =>
    clearInterval(watch),
  );
  assert.is(most, 1);
  assert.equal(
    own.standin.chats().map(({ body }) => (body['options'] as { seed: number }).seed),
    [1, 2, 3, 4],
  );
});

test('O17: a call too many fails at once; one that leaves the queue never reaches the server', async () => {
  own.use({ maxWaiting: 1 });
  await own.model.warmUp('smollm2', { signal: new AbortController().signal });
  own.standin.fail('stallBeforeFirstByte');
  const stop = new AbortController();
  const waiting = [failureOf(own.subject, { deadlines: soon }), failureOf(own.subject, {}, stop.signal)];
  await until(() => own.standin.working() === 1);
  const busy = await failureOf(own.subject, {});
  assert.match(busy.message, /too many/);
  assert.is(busy.retryable, true);
  stop.abort();
  assert.equal(
    (await Promise.all(waiting)).map(({ reason }) => reason),
    ['time_out', 'cancelled'],
  );
  assert.is(own.standin.chats().length, 1);
});

test('closing ends what is under way', async () => {
  own.standin.fail('stallAfterFirstByte');
  setTimeout(() => own.model.close(), 100);
  assert.is((await failureOf(own.subject, {})).reason, 'cancelled');
  await until(() => own.standin.working() === 0);
});

test.run();
