/** How the providers reached over HTTP describe a model: asked rarely, and never in the way of a turn. */
import * as assert from 'uvu/assert';
import { asFailure } from '../contracts/languageModelCalls.ts';
import { suite } from '../harness.ts';
import { anthropicUnderTest } from '../standins/anthropic.ts';
import { sendJson, STANDIN_MODEL } from '../standins/modelServer.ts';
import { modelServerFixture } from '../standins/modelServerFixture.ts';
import { openAiUnderTest } from '../standins/openai.ts';
import { wallClock } from '../standins/wallClock.ts';

for (const provider of [openAiUnderTest, anthropicUnderTest]) {
  const test = suite(`${provider.name}: descriptions`);
  const own = modelServerFixture(test, provider);
  const signal = new AbortController().signal;
  const path = `/v1/models/${STANDIN_MODEL}`;
  const describe = (name = STANDIN_MODEL) => own.model.describe(name, { signal });
  const failure = (name?: string) => describe(name).then(() => null, asFailure);

  test('a model is asked for once in ten minutes', async () => {
    const clock = { ...wallClock, aheadMs: 0, monotonic: () => performance.now() + clock.aheadMs };
    own.use({ clock, contextTokens: 999 });
    for (let i = 0; i < 3; i++) {
      const { contextTokens, defaultContextTokens, digest } = await describe();
      assert.equal([contextTokens, defaultContextTokens, digest], [999, 999, null]);
    }
    assert.is(own.standin.requests.length, 1);
    clock.aheadMs = 601_000;
    await describe();
    assert.is(own.standin.requests.length, 2);
  });

  test('an unknown model is asked for each time: it may have come meanwhile', async () => {
    for (let i = 0; i < 2; i++) assert.is((await failure('rec-none'))?.retryable, false);
    assert.is(own.standin.requests.length, 2);
  });

  test('a server without that route, or a key that may not use it, is believed', async () => {
    for (const status of [404, 405, 403]) {
      own.use({});
      own.standin.answerNext(path, (response) => sendJson(response, status, { detail: 'Not Found' }));
      assert.is((await describe()).name, STANDIN_MODEL, String(status));
      const before = own.standin.requests.length;
      await describe();
      assert.is(own.standin.requests.length, before, 'and not asked again');
    }
  });

  test('a route that is out of order stops no turn, and is asked again', async () => {
    for (const status of [429, 500, 503]) {
      own.standin.answerNext(path, (response) => sendJson(response, status, { error: { message: 'later' } }));
      assert.is((await describe()).name, STANDIN_MODEL, String(status));
    }
    assert.is(own.standin.requests.length, 3);
  });

  test('a wrong key and a server that is not there are failures', async () => {
    own.standin.answerNext(path, (response) => sendJson(response, 401, { error: { message: 'no' } }));
    assert.is((await failure())?.retryable, false);
    own.use({ baseUrl: 'http://127.0.0.1:1' });
    assert.equal([(await failure())?.reason, (await failure())?.retryable], ['error', true]);
  });

  test('a silent server is left when the caller has waited long enough', async () => {
    const stop = new AbortController();
    own.standin.answerNext(path, () => stop.abort());
    assert.is(
      (await own.model.describe(STANDIN_MODEL, { signal: stop.signal }).then(() => null, asFailure))?.reason,
      'cancelled',
    );
  });

  test('names with a slash stay one part of the path', async () => {
    await failure('organisation/model:variant');
    assert.is(own.standin.requests[0]?.path, '/v1/models/organisation%2Fmodel:variant');
  });

  test.run();
}
