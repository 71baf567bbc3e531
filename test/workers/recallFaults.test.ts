/** An index that is late, fails or errs: no turn fails, waits for it, or shows what it must not. */
import * as assert from 'uvu/assert';
import { readRecalled } from '../../commands/readRecalled.ts';
import { Refusal } from '../../domain/refusal.ts';
import { RECALL_MS } from '../../workers/recall.ts';
import { suite } from '../harness.ts';
import {
  aTalk,
  anAgent,
  indexed,
  longTalk,
  passageOf,
  passagesOf,
  prepared,
  recalledBy,
  recallScene,
  rerendered,
  says,
  speaks,
  type Scene,
} from './recallScene.ts';

const test = suite('workers: recall from a bad index');
const PASSWORD = 'The password is teapot.';
const memory = { scope: 'discussion', k: 5, maxTokens: 600, minScore: 0.3 };

test('an index that is late holds the turn up for a second and no longer, once for a turn', async () => {
  const on = await recallScene();
  const id = await longTalk(on, memory, PASSWORD);
  const signals: AbortSignal[] = [];
  const begun = new Promise<void>((resolve) => {
    on.recall = (_, { signal }) => {
      signals.push(signal);
      resolve();
      return new Promise(() => undefined);
    };
  });
  const patience = { leftMs: RECALL_MS };
  let over = false;
  const preparing = prepared(on, id, patience).finally(() => (over = true));
  await begun;
  on.clock.advance(RECALL_MS - 200);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal([over, signals.length], [false, 3], 'all are looked for at once, and have their second');
  on.clock.advance(200);
  const { record, rendered, failure } = await preparing;
  assert.equal([record.retrieved, record.recall], [[], { scope: 'discussion', model: null, failed: 'late' }]);
  assert.equal([failure, recalledBy({ rendered })], [null, []]);
  assert.ok(
    signals.every(({ aborted }) => aborted),
    'none goes on',
  );
  const again = await prepared(on, id, patience);
  assert.equal([again.record.recall?.failed, signals.length], ['late', 3], 'the second was spent');
  assert.equal(on.outcomes, ['late', 'late']);
});

test('an index that fails, throws or is not there leaves the agent without, and the record says so', async () => {
  const on = await recallScene();
  const id = await longTalk(on, memory, PASSWORD);
  const failing: Scene['recall'][] = [
    () => Promise.reject(new Refusal('unavailable', 'the store is away')),
    () => {
      throw new TypeError('broken');
    },
    () => Promise.reject(new Refusal('invalid', 'nothing to look for')),
    null,
    undefined,
  ];
  for (const recall of failing) {
    on.recall = recall;
    const { record, failure } = await speaks(on, id, 'I go on.');
    assert.equal([record.retrieved, failure], [[], null]);
    assert.equal(record.recall, { scope: 'discussion', model: null, failed: 'unavailable' });
  }
  assert.is(on.warned.length, 3, on.warned.join());
  assert.equal(on.outcomes, Array<string>(5).fill('unavailable'));
  for (const { sha256, recorded } of await rerendered(on, id)) assert.is(sha256, recorded);
});

test('one search of a turn that fails ends the others, whether it throws or rejects', async () => {
  const on = await recallScene();
  const id = await longTalk(on, memory, PASSWORD);
  const broken = new TypeError('broken');
  const failing = [
    () => Promise.reject(broken),
    () => {
      throw broken;
    },
  ];
  for (const fail of failing) {
    const ended: string[] = [];
    let left = 2;
    on.recall = ({ query }, { signal }) => {
      if ((left -= 1) === 0) return fail();
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          ended.push(query.slice(0, 8));
          reject(new Error('aborted'));
        });
      });
    };
    const { record, failure } = await prepared(on, id);
    assert.equal([record.retrieved, record.recall?.failed, failure], [[], 'unavailable', null]);
    assert.equal(ended, ['Point 15', 'Point 13']);
  }
});

test('an agent without memory asks nobody, and its claims say nothing of it', async () => {
  const on = await recallScene();
  const id = await aTalk(on, [await anAgent(on, null)]);
  await says(on, id, 'Hello.');
  on.recall = indexed(on, () => passagesOf(on));
  const { record } = await speaks(on, id, 'Hello.');
  assert.equal([on.asked.length, 'retrieved' in record, 'recall' in record], [0, false, false]);
});

test('whatever an index that errs answers, nothing of another project comes in and no turn fails', async () => {
  const on = await recallScene();
  const id = await longTalk(on, { ...memory, scope: 'project' }, 'The password is 🫖.');
  const secret = await aTalk(on, [await anAgent(on, null, { projectId: 'secret' })], { projectId: 'secret' });
  await says(on, secret, 'The password is samovar.');
  const eventWith = (text: string) => {
    const found = on.world.log.events.find(
      ({ type, data }) => type === 'MessagePosted' && JSON.stringify(data).includes(text),
    );
    if (found === undefined) throw new Error(`nobody said ${text}`);
    return found;
  };
  const foreign = passageOf(eventWith('samovar'));
  const own = passageOf(eventWith('🫖'));
  const window = passageOf(eventWith('Point 15'));
  const bad = [
    foreign,
    { ...foreign, project: 'default' },
    { ...foreign, project: 'default', discussionId: id },
    { ...own, stream: foreign.stream, revision: foreign.revision, eventId: foreign.eventId },
    { ...own, eventId: foreign.eventId },
    { ...own, revision: 9999 },
    { ...own, starts: 16, ends: 17 },
    { ...own, starts: 5, ends: 5 },
    { ...own, starts: -5 },
    { ...own, starts: 0.5 },
    { ...own, ends: 1e9 },
    { ...own, revision: 0 },
    window,
  ].map((passage) => ({ passage, score: 0.9 }));
  on.recall = async () => ({
    hits: [...bad, { passage: own, score: NaN }, { passage: own, score: Infinity }],
    model: 'builtin',
  });
  const { record } = await speaks(on, id, 'I go on.');
  assert.equal([record.retrieved, record.recall?.failed], [[], undefined]);
  on.recall = async () => ({ hits: [...bad, { passage: own, score: 0.5 }], model: 'builtin' });
  assert.equal(recalledBy(await speaks(on, id, 'And on.')), ['The password is 🫖.']);
});

test('a claim that names a passage of another project, or one that was changed, renders without its text', async () => {
  const on = await recallScene();
  const id = await longTalk(on, memory, PASSWORD);
  const [event] = on.world.log.events.filter(({ type }) => type === 'MessagePosted');
  if (event === undefined) throw new Error('nobody spoke');
  const { id: eventId, stream, revision } = event;
  const entry = { eventId, stream, revision, kind: 'message', from: 0, to: 12, score: 0.5, author: 'ada' } as const;
  const textsOf = async (project: string, changed: object = {}) =>
    (await readRecalled(on.engine.store, project, { retrieved: [{ ...entry, ...changed }] })).map(({ text }) => text);
  assert.equal(await textsOf('default'), ['The password']);
  assert.equal(await textsOf('other'), ['']);
  assert.equal(await textsOf('default', { eventId: id }), ['']);
  assert.equal(await textsOf('default', { revision: 9999 }), ['']);
});

test.run();
