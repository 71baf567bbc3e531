/** An agent recalls what its window has long left, with real embeddings. */
import { setTimeout as delay } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { startServiceForTests, type TestService } from '../api/serviceForTests.ts';
import { expected } from '../api/serviceScenes.ts';
import { suite } from '../harness.ts';
import { embedded, EVERYTHING, FACT, openQuiet, say, smallTalk } from './meaningScene.ts';

/** The discussion's first event is its opening. */
const FACT_REVISION = 1;
const MESSAGES_BETWEEN = 200;

const test = suite('memory with real embeddings');
let on: TestService;
test.before(async () => void (on = await startServiceForTests(EVERYTHING)));
test.after(() => on.stop());

interface Attempt {
  readonly messages: readonly { content: string }[];
  readonly matches: boolean;
  readonly retrieved: readonly { stream: string; revision: number; from: number; to: number; score: number }[];
  readonly recall: { scope: string; model: string | null; failed?: string } | null;
}

test(
  'a fact from 200 messages ago, which the window no longer holds, is in the prompt; the log alone renders it again',
  async () => {
    const agent = expected(
      await on.post('/agents', {
        ...{ name: 'Keeper', instructions: 'Answer from what was said.' },
        model: { provider: 'offline', name: 'offline', parameters: { num_ctx: 1_024, num_predict: 64 } },
        memory: { scope: 'discussion', k: 3, maxTokens: 200, minScore: 0.2 },
      }),
      201,
    ).id;
    const discussionId = await openQuiet(on, [agent]);
    const { participants } = expected(await on.get(`/discussions/${discussionId}`), 200);
    const { participantId } = (participants as { participantId: string }[])[0] ?? {};
    await say(on, discussionId, FACT);
    for (let n = 0; n < MESSAGES_BETWEEN; n += 1) await say(on, discussionId, smallTalk(n));
    await embedded(on, await say(on, discussionId, 'Where is the key of the boat house hidden?'));
    expected(await on.post(`/discussions/${discussionId}/turns`, { participantId }), 201);
    const { messages, matches, retrieved, recall } = await firstAttempt(discussionId);
    console.log('DBG', JSON.stringify([retrieved, recall, messages.at(-1)?.content]));
    const found = JSON.stringify({ retrieved, recall });
    assert.ok(messages.at(-1)?.content.includes(FACT), `the prompt shows it: ${found}`);
    assert.not.ok(
      messages.slice(0, -1).some(({ content }) => content.includes(FACT)),
      'the window does not hold it',
    );
    assert.equal(recall, { scope: 'discussion', model: 'builtin' });
    const fact = retrieved.find(({ revision }) => revision === FACT_REVISION);
    assert.equal([fact?.from, fact?.to], [0, FACT.length], found);
    assert.ok(matches, 'rendered again from the log it has the hash of the claim');
  },
  { deadlineMs: 200_000 },
);

test.run();

/** The prompt of turn 1's attempt, once it was claimed. */
async function firstAttempt(discussionId: string): Promise<Attempt> {
  for (;;) {
    const { data } = expected(await on.get(`/discussions/${discussionId}/turns`), 200);
    const turnId = String(data[0]?.['turnId']);
    const prompt = await on.get(`/discussions/${discussionId}/turns/${turnId}/prompt`);
    if (prompt.status === 200) return prompt.body as unknown as Attempt;
    await delay(100);
  }
}
