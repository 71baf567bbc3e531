/** The contract of the `LanguageModel` port: every provider's adapter passes it. */
import * as assert from 'uvu/assert';
import { suite, type Suite } from '../harness.ts';
import {
  asFailure,
  ask,
  collected,
  failureOf,
  forever,
  type Given,
  type LanguageModelSubject,
  long,
  settles,
  textOf,
  type Without,
} from './languageModelCalls.ts';
import { faultCases } from './languageModelFaults.ts';

/** Runs the whole contract against what `make` gives, `without` what it cannot be asked for. */
export function languageModelContract(
  name: string,
  make: () => Promise<LanguageModelSubject>,
  without: Without = {},
): void {
  const test = suite(`LanguageModel: ${name}`);
  let subject: LanguageModelSubject | undefined;
  test.before(async () => {
    subject = await make();
  });
  test.after(async () => await subject?.stop());
  const given: Given = () => {
    if (!subject) throw new Error('there is no subject');
    return subject;
  };
  answers(test, given);
  endings(test, given);
  deadlines(test, given);
  const cases = { seeds, unknownNames, contextLimit, counting, faults: faultCases };
  for (const [which, add] of Object.entries(cases) as [keyof typeof cases, typeof seeds][]) {
    const reason = without[which];
    if (reason === undefined) add(test, given);
    else console.log(`left out of the LanguageModel contract of ${name}: ${which}, ${reason}`);
  }
  test.run();
}

function answers(test: Suite, given: Given): void {
  test(
    'an answer is texts, then exactly one done with its usage',
    async () => {
      const events = await collected(given(), {});
      const last = events.at(-1);
      assert.ok(events.slice(0, -1).every((event) => event.type === 'text' && event.text !== ''));
      assert.ok(textOf(events).trim() !== '');
      if (last?.type !== 'done') throw new Error('the last event is not done');
      assert.ok(['end_turn', 'max_tokens', 'stop_phrase', 'refused'].includes(last.finishReason));
      assert.ok(last.usage.inputTokens > 0 && last.usage.outputTokens > 0);
      assert.ok(['reported', 'estimated'].includes(last.usage.source));
    },
    { deadlineMs: 120_000 },
  );

  test(
    'an answer that meets its limit ends with max_tokens',
    async () => {
      const last = (await collected(given(), { parameters: { num_predict: 3, temperature: 0 } })).at(-1);
      if (last?.type !== 'done') throw new Error('the last event is not done');
      assert.is(last.finishReason, 'max_tokens');
      if (last.usage.source === 'reported') assert.is(last.usage.outputTokens, 3);
    },
    { deadlineMs: 120_000 },
  );

  test(
    'calls at the same time each get their own answer',
    async () => {
      const both = await Promise.all([collected(given(), {}), collected(given(), {})]);
      for (const events of both) assert.is(events.filter((event) => event.type === 'done').length, 1);
    },
    { deadlineMs: 240_000 },
  );

  test(
    'a model is described',
    async () => {
      const { model, modelName } = given();
      const described = await model.describe(modelName, { signal: forever() });
      assert.is(described.provider, model.provider);
      assert.is(described.name, modelName);
      assert.ok(described.contextTokens > 0 && described.defaultContextTokens > 0);
      assert.ok(described.defaultContextTokens <= described.contextTokens);
      assert.ok(described.controlTokens.every((token) => token.length > 1));
    },
    { deadlineMs: 60_000 },
  );
}

function endings(test: Suite, given: Given): void {
  test('a signal that is aborted already asks nothing', async () => {
    const asked = given().asked?.();
    const failure = await failureOf(given(), {}, AbortSignal.abort());
    assert.is(failure.reason, 'cancelled');
    assert.is(given().asked?.(), asked);
  });

  test(
    'an abort in mid-answer is cancelled, and stops the provider',
    async () => {
      const stop = new AbortController();
      const failure = await failureOf(given(), long, stop.signal, () => stop.abort());
      assert.is(failure.reason, 'cancelled');
      assert.is(failure.retryable, false);
      await settles(given());
    },
    { deadlineMs: 120_000 },
  );

  test(
    'an abort with a reason of the caller is cancelled all the same',
    async () => {
      const stop = new AbortController();
      const failure = await failureOf(given(), long, stop.signal, () => stop.abort(new Error('mine')));
      assert.is(failure.reason, 'cancelled');
    },
    { deadlineMs: 120_000 },
  );

  test(
    'a loop left early stops the provider',
    async () => {
      for await (const event of ask(given(), long)) if (event.type === 'text') break;
      await settles(given());
    },
    { deadlineMs: 120_000 },
  );

  test(
    'an error in the loop stays its own, and stops the provider',
    async () => {
      const loop = async () => {
        for await (const event of ask(given(), long)) throw new Error(`mine, at ${event.type}`);
      };
      await loop().then(
        () => assert.unreachable(),
        (error: Error) => assert.match(error.message, /^mine/),
      );
      await settles(given());
    },
    { deadlineMs: 120_000 },
  );
}

function deadlines(test: Suite, given: Given): void {
  test(
    'the total deadline ends an answer that goes on',
    async () => {
      await collected(given(), {});
      const failure = await failureOf(given(), {
        ...long,
        deadlines: { firstByteMs: 60_000, chunkMs: 60_000, totalMs: 30 },
      });
      assert.is(failure.reason, 'time_out');
      assert.is(failure.retryable, true);
    },
    { deadlineMs: 120_000 },
  );

  test(
    'after a time-out the next call is answered',
    async () => {
      assert.ok(textOf(await collected(given(), {})) !== '');
    },
    { deadlineMs: 120_000 },
  );
}

function unknownNames(test: Suite, given: Given): void {
  test(
    'an unknown model cannot be described or asked, and another attempt cannot help',
    async () => {
      const { model, unknownName } = given();
      if (unknownName === undefined) throw new Error('the subject names no unknown model');
      const described = await model.describe(unknownName, { signal: forever() }).then(() => null, asFailure);
      assert.is(described?.reason, 'error');
      assert.is(described?.retryable, false);
      const failure = await failureOf(given(), { model: unknownName });
      assert.is(failure.reason, 'error');
      assert.is(failure.retryable, false);
      assert.is(failure.usage, undefined);
    },
    { deadlineMs: 60_000 },
  );
}

function contextLimit(test: Suite, given: Given): void {
  test(
    'a prompt longer than the context is said to be, and never cut',
    async () => {
      const { smallContext } = given();
      if (smallContext === undefined) throw new Error('the subject names no context');
      const content = 'river stone cloud '.repeat(smallContext);
      const failure = await failureOf(given(), {
        messages: [{ role: 'user', content }],
        parameters: { num_ctx: smallContext },
      });
      assert.is(failure.reason, 'error');
      assert.is(failure.promptTooLong, true);
      assert.is(failure.retryable, true);
    },
    { deadlineMs: 120_000 },
  );
}

function seeds(test: Suite, given: Given): void {
  test(
    'the same seed gives the same text',
    async () => {
      const text = async (seed: number) =>
        textOf(await collected(given(), { parameters: { seed, temperature: 1, num_predict: 12 } }));
      const first = await text(7);
      assert.is(await text(7), first);
      assert.is.not(await text(8), first);
    },
    { deadlineMs: 240_000 },
  );
}

function counting(test: Suite, given: Given): void {
  test('an answer that nobody reads is never asked for', async () => {
    const asked = given().asked?.();
    if (asked === undefined) throw new Error('the subject cannot be counted');
    ask(given(), {});
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.is(given().asked?.(), asked);
  });
}
