import type { HttpModel, HttpModelOptions } from '../../infra/modelOverHttp.ts';
import { failureOf, type LanguageModelSubject } from '../contracts/languageModelCalls.ts';
import type { Suite } from '../harness.ts';
import { type ModelServer, STANDIN_CONTEXT, STANDIN_MODEL } from './modelServer.ts';
import type { ModelServerFault } from './modelServerFaults.ts';
import { wallClock } from './wallClock.ts';

/** The key that every adapter under test is given; it must appear nowhere but in its header. */
export const TEST_KEY = 'sk-of-the-test-0123456789';

/** One provider, as its tests open it. */
export interface ProviderUnderTest {
  readonly name: string;
  readonly start: () => Promise<ModelServer>;
  readonly create: (options: HttpModelOptions) => HttpModel;
  /** Where the protocol begins on the server. */
  readonly base: string;
}

export interface ModelServerFixture {
  standin: ModelServer;
  model: HttpModel;
  subject: LanguageModelSubject;
  /** Another adapter in place of the one with default options. */
  use(options: Partial<HttpModelOptions>): void;
  /** What a call becomes while the server does that. */
  failing(fault: ModelServerFault): ReturnType<typeof failureOf>;
}

/** A fresh stand-in and adapter for each test of the suite. */
export function modelServerFixture(test: Suite, { start, create, base }: ProviderUnderTest): ModelServerFixture {
  const open = (standin: ModelServer, options: Partial<HttpModelOptions>) => {
    const model = create({
      baseUrl: `${standin.url}${base}`,
      apiKey: TEST_KEY,
      clock: wallClock,
      contextTokens: STANDIN_CONTEXT,
      ...options,
    });
    return { standin, model, subject: { model, modelName: STANDIN_MODEL, patienceMs: 5_000, stop: () => undefined } };
  };
  let now: ReturnType<typeof open> | undefined;
  const given = (): ReturnType<typeof open> => {
    if (!now) throw new Error('there is no fixture outside a test');
    return now;
  };
  test.before.each(async () => {
    now = open(await start(), {});
  });
  test.after.each(async () => {
    now?.model.close();
    await now?.standin.stop();
  });
  return {
    get standin() {
      return given().standin;
    },
    get model() {
      return given().model;
    },
    get subject() {
      return given().subject;
    },
    use(options) {
      const { standin, model } = given();
      model.close();
      now = open(standin, options);
    },
    async failing(fault) {
      const { standin, subject } = given();
      standin.fail(fault);
      return await failureOf(subject, {}).finally(() => standin.fail(null));
    },
  };
}
