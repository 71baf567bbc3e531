/** What each fault of a provider must become; the part of the LanguageModel contract that needs a provider that fails. */
import * as assert from 'uvu/assert';
import type { ModelFailure } from '../../domain/model.ts';
import type { Suite } from '../harness.ts';
import { collected, failureOf, type Given, settles, textOf } from './languageModelCalls.ts';

export type ContractFault = keyof typeof FAULTS;

/** What a fault must become; `text` when part of an answer may have been handed out before. */
const FAULTS = {
  stallBeforeFirstByte: { reason: 'time_out', retryable: true },
  slowHeaders: { reason: 'time_out', retryable: true },
  stallAfterFirstByte: { reason: 'time_out', retryable: true, usage: 'estimated' },
  halfThenFin: { reason: 'error', retryable: true, usage: 'estimated' },
  halfThenRst: { reason: 'error', retryable: true, usage: 'estimated' },
  finBeforeHeaders: { reason: 'error', retryable: true },
  noDone: { reason: 'invalid_output', retryable: true, usage: 'estimated' },
  garbageLine: { reason: 'invalid_output', retryable: true },
  hugeLine: { reason: 'invalid_output', retryable: true },
  endless: { reason: 'time_out', retryable: true, usage: 'estimated' },
  noText: { reason: 'invalid_output', retryable: true },
  status429: { reason: 'error', retryable: true, retryAfterMs: 7_000 },
  status500: { reason: 'error', retryable: true },
  status503: { reason: 'error', retryable: true },
  status529: { reason: 'error', retryable: true, retryAfterMs: 3_000 },
  okWithErrorBody: { reason: 'error', retryable: true },
  errorLine: { reason: 'error', retryable: true },
  redirect: { reason: 'error', retryable: false },
  wrongOption: { reason: 'error', retryable: false },
  promptTooLong: { reason: 'error', retryable: true, promptTooLong: true },
} as const satisfies Record<
  string,
  Partial<Pick<ModelFailure, 'reason' | 'retryable' | 'retryAfterMs' | 'promptTooLong'>> & { usage?: string }
>;

/** One case a fault. */
export function faultCases(test: Suite, given: Given): void {
  for (const [fault, expected] of Object.entries(FAULTS) as [
    ContractFault,
    (typeof FAULTS)[ContractFault] & { usage?: string },
  ][])
    test(`fault: ${fault} becomes ${expected.reason}`, async () => {
      const controls = given().faults;
      if (!controls) throw new Error('the subject has no faults');
      controls.set(fault);
      // Short ones only where they are what must end it: a busy machine is slow to answer wrongly, too.
      const ended =
        expected.reason === 'time_out' ? { deadlines: { firstByteMs: 150, chunkMs: 150, totalMs: 1_000 } } : {};
      const failure = await failureOf(given(), ended).finally(() => controls.restore());
      const { usage, ...rest } = expected;
      for (const [key, value] of Object.entries(rest)) assert.is(failure[key as keyof ModelFailure], value, key);
      if (usage !== undefined) assert.is(failure.usage?.source, usage);
      assert.not.match(failure.message, /\/\w+\/|https?:|\d+\.\d+\.\d+\.\d+/, 'a message shows no path or address');
      await settles(given());
      assert.ok(textOf(await collected(given(), {})) !== '', 'the next call is answered');
    });
}
