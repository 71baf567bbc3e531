import * as assert from 'uvu/assert';
import type { LanguageModel } from '../../domain/ports.ts';
import { createOllamaModel } from '../../infra/ollama.ts';
import { systemClock } from '../../infra/system.ts';
import { suite } from '../harness.ts';
import { ollamaForTests, postgresForTests } from '../services.ts';
import { startTestEngine } from './engineForTests.ts';
import { checkEnded, rerender } from './logChecks.ts';
import { startOwnOllama, type OwnOllama } from './ollamaServer.ts';
import { anAgent, only, open, untilConcluded } from './talks.ts';

const given = await ollamaForTests();
const ollama = given === null ? null : await startOwnOllama(given.url);
if (given === null) console.log('left out: six turns on a real Ollama (TEST_OLLAMA_URL is not set)');
else if (ollama === null)
  console.log(`left out: six turns on an Ollama of our own (the program behind ${given.url} is not on this machine)`);
else sixTurns(given.description, ollama);

function sixTurns(description: string, ollama: OwnOllama): void {
  const test = suite('workers: a real Ollama whose runner dies');

  test(
    'three agents hold six turns, the runner is killed in the middle, and all six have a message',
    async () => {
      const database = await postgresForTests();
      const model = createOllamaModel({ baseUrl: ollama.url, clock: systemClock, numCtx: 1024, maxConcurrent: 1 });
      const on = await startTestEngine(database.url, {
        more: new Map<string, LanguageModel>([['ollama', model]]),
        settings: {
          leaseMs: 15_000,
          renewMs: 5_000,
          retryMs: 500,
          deadlines: { firstByteMs: 60_000, chunkMs: 30_000, totalMs: 90_000 },
        },
      });
      try {
        let killed = 0;
        const reading = new AbortController();
        const kill = (async () => {
          const turns = new Set<string>();
          for await (const delta of on.bus.deltas({ project: '*' }, { signal: reading.signal })) {
            turns.add(delta.turnId);
            if (turns.size < 3 || delta.offset < 8) continue;
            if (await ollama.killRunner()) killed += 1;
            return;
          }
        })();
        const participants: { agentId: string }[] = [];
        for (const name of ['Ada', 'Basil', 'Clara']) {
          const parameters = { num_predict: 24, num_ctx: 1024, seed: 1, temperature: 0.8 };
          participants.push({
            agentId: await anAgent(on, name, { provider: 'ollama', name: 'smollm2:135m', parameters }),
          });
        }
        const id = await open(on, { topic: 'Is rain good?', participants, limits: { maxTurns: 6 } });
        const events = await untilConcluded(on, id, 150_000);
        reading.abort();
        await kill;
        assert.is(killed, 1, 'the runner was killed');
        checkEnded(events, only(events, 'TurnCompleted').length);
        assert.is(only(events, 'TurnCompleted').length, 6);
        const lost = only(events, 'TurnAttemptAbandoned');
        assert.ok(lost.length >= 1, 'the broken call is an attempt on record');
        assert.ok(
          lost.some(({ data }) => (data.partial ?? '').length > 0),
          'with what had been said',
        );
        for (const { data } of only(events, 'TurnCompleted'))
          assert.ok(data.usage.outputTokens > 0 && data.usage.source === 'reported');
        assert.is((await rerender(on, id)).length, 6 + lost.length);
        console.log(
          `${description}: abandoned ${lost.map(({ data }) => `${data.reason} "${data.detail}"`).join(', ')}`,
        );
      } finally {
        await on.stop();
        model.close();
        await database.stop();
        await ollama.stop();
      }
    },
    { deadlineMs: 200_000 },
  );
  test.run();
}
