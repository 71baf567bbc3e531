/** A discussion forked while a turn is open in it: both go on, each with prompts that render again from the log. */
import * as assert from 'uvu/assert';
import { agents } from '../../commands/aggregate.ts';
import { forkDiscussion, forkDiscussionSchema } from '../../commands/forkDiscussion.ts';
import { readLineage } from '../../commands/lineage.ts';
import { readRecalled } from '../../commands/readRecalled.ts';
import { load } from '../../commands/states.ts';
import { profileAt } from '../../domain/agent/agent.ts';
import { createReplay, renderAttempt } from '../../domain/discussion/replay.ts';
import { suite } from '../harness.ts';
import { postgresForTests, type TestDatabase } from '../services.ts';
import { startTestEngine, type TestEngine } from './engineForTests.ts';
import { createGatedModel } from './gatedModel.ts';
import { checkEnded } from './logChecks.ts';
import { asked, history, only, talk, until, untilConcluded } from './talks.ts';

const test = suite('workers: forks');
const models = createGatedModel();
let database: TestDatabase;
let on: TestEngine;
test.before(async () => {
  database = await postgresForTests();
  on = await startTestEngine(database.url, { models });
});
test.after(async () => {
  await on.stop();
  await database.stop();
});

async function forked(id: string, atRevision: number, overrides: object = {}): Promise<string> {
  const body = forkDiscussionSchema.parse({ atRevision, overrides });
  return (await forkDiscussion(on.engine, id, body, asked(on))).id;
}

/** What models were shown at the attempts of a discussion's own stream, rendered again and held against the claims. */
async function prompts(id: string): Promise<string[]> {
  const replay = createReplay();
  const shown: string[] = [];
  for await (const { event, index } of readLineage(on.store, id)) {
    const attempt = replay.next(event, index);
    if (attempt === null) continue;
    const { state } = await load(on.engine, agents, `agent-${attempt.agentId}`);
    const recalled = await readRecalled(on.store, attempt.before.projectId, attempt.record);
    const rendered = renderAttempt(attempt, profileAt(state, attempt.record.agentVersion).instructions, recalled);
    assert.is(rendered.sha256, attempt.record.sha256, `attempt at index ${index}`);
    if (event.stream === `discussion-${id}`) shown.push(JSON.stringify(rendered.messages));
  }
  return shown;
}

test(
  'forked while a turn is open, and the fork forked again: all go on to their end',
  async () => {
    const context = { text: 'A document that the forks read, too.' };
    const id = await talk(on, ['ada', 'basil'], { context, limits: { maxTurns: 4 } });
    models.open('ada');
    await until(() => models.waiting('basil') === 1);
    const open = await history(on, id);
    assert.is(open.at(-1)?.type, 'TurnClaimed');
    const child = await forked(id, open.length - 1, { limits: { maxTurns: 5 } });
    const grandchild = await forked(child, 1);
    const idsOf = (events: readonly { id: string }[]) => events.map((each) => each.id);
    assert.equal(idsOf(await history(on, id)), idsOf(open), 'the parent is as it was');
    models.open('basil');
    checkEnded(await untilConcluded(on, id), 4);
    const own = await untilConcluded(on, child);
    assert.equal(
      own.slice(0, 3).map(({ type }) => type),
      ['DiscussionForked', 'TurnCancelled', 'TurnRequested'],
    );
    assert.equal(
      only(own, 'TurnRequested').map(({ data }) => data.number),
      [3, 4, 5, 6],
      'turn 2 was cancelled here: the first of five had been completed',
    );
    assert.is(only(own, 'TurnCompleted').length, 4);
    await untilConcluded(on, grandchild);
    for (const each of [child, grandchild]) {
      const [first] = await prompts(each);
      assert.ok(first?.includes('ada says 1'), 'what was said before the fork is shown');
      assert.ok(first?.includes('A document that the forks read'), 'and the document');
      const nonces = only(await history(on, each), 'DiscussionForked').map(({ data }) => data.nonce);
      assert.ok(first?.includes(nonces[0] ?? '-'), 'framed with the fork’s own nonce');
    }
    await prompts(id);
  },
  { deadlineMs: 30_000 },
);

test('a fork after the end goes on with other limits, and ends at once with the same', async () => {
  const id = await talk(on, ['ada', 'ada'], { limits: { maxTurns: 2 } });
  const events = await untilConcluded(on, id);
  const last = events.length - 1;
  const same = await forked(id, last);
  assert.equal(
    (await history(on, same)).map(({ type }) => type),
    ['DiscussionForked', 'DiscussionConcluded'],
  );
  const longer = await untilConcluded(on, await forked(id, last, { limits: { maxTurns: 3 } }));
  assert.equal(
    only(longer, 'TurnRequested').map(({ data }) => data.number),
    [3],
  );
});

test.run();
