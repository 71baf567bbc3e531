/** An agent recalls what its window has long left, with real embeddings. */
import * as assert from 'uvu/assert';
import { startServiceForTests, type Body, type TestService } from '../api/serviceForTests.ts';
import { expected, shown, turnIn } from '../api/serviceScenes.ts';
import { suite } from '../harness.ts';
import { embedded, EVERYTHING, FACT, openQuiet, say, smallTalk } from './meaningScene.ts';

const MESSAGES_BETWEEN = 200;
const QUESTION = 'Where is the key of the boat house hidden?';
/** On a busy machine the first searches may take longer than a turn waits. */
const TRIES = 4;
const TURN_MS = 30_000;

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
    const { messages, matches, retrieved, recall } = await attemptInTime(discussionId, participantId);
    const found = JSON.stringify({ retrieved, recall });
    assert.ok(messages.at(-1)?.content.includes(FACT), `the prompt shows it: ${found}`);
    assert.not.ok(
      messages.slice(0, -1).some(({ content }) => content.includes(FACT)),
      'the window does not hold it',
    );
    assert.equal(recall, { scope: 'discussion', model: 'builtin' });
    assert.ok(
      retrieved.some(({ from, to }) => from === 0 && to === FACT.length),
      found,
    );
    assert.ok(matches, 'rendered again from the log it has the hash of the claim');
  },
  { deadlineMs: 200_000 },
);

test.run();

/** What was sent for a turn that is asked for after the question, at the first try that was not late. */
async function attemptInTime(discussionId: string, participantId: string | undefined): Promise<Attempt> {
  const turns = `/discussions/${discussionId}/turns`;
  for (let left = TRIES; ; left -= 1) {
    await embedded(on, await say(on, discussionId, QUESTION));
    const turnId = turnIn(expected(await on.post(turns, { participantId }), 201));
    const isOver = ({ data }: Body) => data.some((turn) => turn['turnId'] === turnId && turn['status'] === 'completed');
    await shown(on, turns, isOver, TURN_MS);
    const attempt = expected(await on.get(`${turns}/${turnId}/prompt`), 200) as Body & Attempt;
    if (attempt.recall?.failed !== 'late' || left === 1) return attempt;
  }
}
