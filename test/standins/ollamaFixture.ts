import * as assert from 'uvu/assert';
import { createOllamaModel, type OllamaModel, type OllamaOptions } from '../../infra/ollama.ts';
import { failureOf, type LanguageModelSubject } from '../contracts/languageModelCalls.ts';
import type { Suite } from '../harness.ts';
import { type OllamaStandin, startOllamaStandin } from './ollama.ts';
import type { OllamaFaultName } from './ollamaFaults.ts';
import { wallClock } from './wallClock.ts';

export interface OllamaFixture {
  standin: OllamaStandin;
  model: OllamaModel;
  subject: LanguageModelSubject;
  /** Another adapter in place of the one with default options. */
  use(options: Partial<OllamaOptions>): void;
  /** What a call becomes while the server does that. */
  failing(fault: OllamaFaultName): ReturnType<typeof failureOf>;
}

/** A fresh stand-in and adapter for each test of the suite. */
export function ollamaFixture(test: Suite): OllamaFixture {
  const open = (standin: OllamaStandin, options: Partial<OllamaOptions>) => {
    const model = createOllamaModel({ baseUrl: standin.url, clock: wallClock, ...options });
    return { standin, model, subject: { model, modelName: 'smollm2', patienceMs: 5_000, stop: () => undefined } };
  };
  let now: ReturnType<typeof open> | undefined;
  const given = (): ReturnType<typeof open> => {
    if (!now) throw new Error('there is no fixture outside a test');
    return now;
  };
  test.before.each(async () => {
    now = open(await startOllamaStandin(), {});
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

/** Polls for a second. */
export async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !condition(); i++) await wallClock.sleep(5);
  assert.ok(condition(), 'did not come about within a second');
}
