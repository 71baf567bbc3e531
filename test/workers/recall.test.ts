/** What agents recall before they speak: where it is looked for, and what is left out. */
import * as assert from 'uvu/assert';
import { forkDiscussion, forkDiscussionSchema } from '../../commands/forkDiscussion.ts';
import type { PassageHit } from '../../domain/meaning/vectorIndex.ts';
import { asked } from '../commands/engineForTests.ts';
import { suite } from '../harness.ts';
import {
  aTalk,
  anAgent,
  fillers,
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
} from './recallScene.ts';

const test = suite('workers: recall');
const PASSWORD = 'The password is teapot.';
const memory = { scope: 'discussion', k: 5, maxTokens: 600, minScore: 0.3 };
/** Only these are like what was said last. */
function like(...texts: string[]) {
  return (text: string) => (texts.some((each) => text.startsWith(each)) ? 0.8 : 0.1);
}

test('what was said long ago in the discussion comes back, framed, recorded, and rendered again without the index', async () => {
  const on = await recallScene();
  const id = await longTalk(on, memory, PASSWORD, 'Nothing of note.', 'It was Grace who chose it.');
  const other = await aTalk(on, [await anAgent(on, null)], { title: 'Other' });
  await says(on, other, 'The password is kettle.');
  on.recall = indexed(on, () =>
    passagesOf(on, (text) => (text.startsWith('It was') ? 0.9 : like('The password')(text))),
  );
  const { record, rendered, reserved } = await speaks(on, id, 'It is teapot.');
  assert.equal(recalledBy({ rendered }), [PASSWORD, 'It was Grace who chose it.']);
  assert.equal(record.recall, { scope: 'discussion', model: 'builtin' });
  const [first] = record.retrieved ?? [];
  const event = on.world.log.events.find((each) => each.id === first?.eventId);
  assert.equal(first, {
    ...{ eventId: event?.id, stream: `discussion-${id}`, revision: event?.revision, kind: 'message' },
    ...{ from: 0, to: 23, score: 0.8, author: 'ada' },
  });
  const begins = record.window?.from ?? 0;
  assert.ok(begins > (event?.revision ?? Infinity), 'the window had lost it');
  const filter = { projects: ['default'], within: [{ discussionId: id, until: begins - 1 }] };
  assert.equal(
    on.asked.map((wanted) => wanted.filter),
    [filter, filter, filter],
  );
  on.recall = undefined;
  const before = (await prepared(on, id)).reserved;
  assert.ok(reserved > before, 'what was recalled is set aside, too');
  const [again] = await rerendered(on, id);
  assert.is(again?.sha256, record.sha256);
  assert.ok(again?.text.includes('teapot'));
});

test('with scope project other discussions are remembered, under the names that they know; other projects never', async () => {
  const on = await recallScene();
  const id = await longTalk(on, { ...memory, scope: 'project' }, PASSWORD);
  const basil = await anAgent(on, null, { name: 'Basil' });
  const other = await aTalk(on, [basil], { title: 'Other', context: { text: 'The password is in the document.' } });
  await speaks(on, other, 'The password is kettle.');
  const foreign = await anAgent(on, null, { projectId: 'secret' });
  await says(on, await aTalk(on, [foreign], { projectId: 'secret' }), 'The password is samovar.');
  on.recall = indexed(on, () => passagesOf(on, like('The password')));
  const ready = await prepared(on, id);
  assert.equal(recalledBy(ready), [PASSWORD, 'The password is in the document.', 'The password is kettle.']);
  assert.equal(
    ready.record.retrieved?.map(({ kind, author }) => [kind, author]),
    [
      ['message', 'ada'],
      ['document', 'Other'],
      ['message', 'Basil'],
    ],
  );
  const from = ready.record.window?.from;
  assert.equal(on.asked[0]?.filter, { projects: ['default'], except: [{ discussionId: id, from }] });
});

test('a fork remembers what it shares with its parent, not what the parent said afterwards, nor what its window shows', async () => {
  const on = await recallScene();
  const id = await longTalk(on, memory, PASSWORD);
  const at = await says(on, id, 'The last that is shared.');
  const body = forkDiscussionSchema.parse({ atRevision: at, overrides: {} });
  const { id: fork } = await forkDiscussion(on.engine, id, body, asked());
  await says(on, id, 'The password is said again in the parent.');
  on.recall = indexed(on, () => passagesOf(on, like('The password', 'The last', 'Point 15')));
  const early = await prepared(on, fork);
  const { from = 0 } = early.record.window ?? {};
  assert.ok(from <= at, 'the window reaches into the parent');
  assert.equal(on.asked[0]?.filter.within, [{ discussionId: id, until: from - 1 }]);
  assert.equal(recalledBy(early), [PASSWORD]);
  await says(on, fork, ...fillers.map((text) => text.replace('Point', 'Item')));
  on.asked.length = 0;
  const late = await prepared(on, fork);
  const begins = late.record.window?.from ?? 0;
  assert.ok(begins > at + 1, 'the window has left the parent');
  assert.ok(on.asked.length > 0);
  for (const { filter } of on.asked)
    assert.equal(filter.within, [
      { discussionId: id, until: at },
      { discussionId: fork, until: begins - at - 2 },
    ]);
  assert.equal(recalledBy(late), [PASSWORD, fillers.at(-1), 'The last that is shared.']);
  await speaks(on, fork, 'So be it.');
  const [again] = await rerendered(on, fork);
  assert.is(again?.sha256, again?.recorded);
  assert.ok(again?.text.includes('teapot'));
});

test('with scope project a fork leaves out what its window shows of either stream', async () => {
  const on = await recallScene();
  const id = await longTalk(on, { ...memory, scope: 'project' }, PASSWORD);
  const body = forkDiscussionSchema.parse({ atRevision: 6, overrides: {} });
  const { id: fork } = await forkDiscussion(on.engine, id, body, asked());
  on.recall = indexed(on, () => passagesOf(on));
  await says(on, fork, 'Only this.');
  const { from = 0 } = (await prepared(on, fork)).record.window ?? {};
  assert.equal(on.asked[0]?.filter.except, [
    { discussionId: id, from },
    { discussionId: fork, from: 0 },
  ]);
});

test('before anybody has spoken the topic is asked about, and only what the prompt does not show of the document comes', async () => {
  const on = await recallScene();
  const agentId = await anAgent(on, memory);
  const text = Array.from({ length: 40 }, (_, i) => `Section ${i}. ${'A line of the document. '.repeat(10)}`).join(
    '\n\n',
  );
  const id = await aTalk(on, [agentId], { context: { text } });
  const [opened] = on.world.log.events.filter(({ stream }) => stream === `discussion-${id}`);
  const hits = () => {
    const chunks: PassageHit[] = [];
    for (let starts = 0; starts < text.length && opened; starts += 200)
      chunks.push({ passage: passageOf(opened, { starts, ends: Math.min(text.length, starts + 200) }), score: 0.5 });
    return chunks;
  };
  on.recall = indexed(on, hits);
  const { record, rendered } = await prepared(on, id);
  assert.equal(
    on.asked.map(({ query }) => query),
    ['Tea or coffee?'],
  );
  const shown = record.context;
  const retrieved = record.retrieved ?? [];
  assert.ok(shown.length > 0 && retrieved.length > 0, JSON.stringify({ shown, retrieved }));
  for (const { kind, from, to } of retrieved)
    assert.ok(kind === 'document' && shown.every(([a, b]) => to <= a || b <= from), `${from}-${to} is shown already`);
  assert.match(rendered.messages.at(-1)?.content ?? '', /recalled: part of the document of “Tea”/);
});

test('nothing is shown twice: same texts, overlapping parts of one message, what the window quotes', async () => {
  const on = await recallScene();
  const long = 'The password is teapot, and it was chosen on a rainy day.';
  const id = await longTalk(on, memory, long, 'The key is green.', 'The key is green.', 'The lamp is off.');
  await says(on, id, 'You said: The lamp is off. Is it?');
  const event = on.world.log.events.find(({ data }) => JSON.stringify(data).includes(long));
  if (event === undefined) throw new Error('it was said');
  const parts = [
    { passage: passageOf(event, { starts: 0, ends: 30 }), score: 0.9 },
    { passage: passageOf(event, { starts: 20, ends: long.length }), score: 0.8 },
  ];
  on.recall = indexed(on, () => [...parts, ...passagesOf(on, like('The key', 'The lamp'))]);
  assert.equal(recalledBy(await prepared(on, id)), [long.slice(0, 30), 'The key is green.']);
});

test('the agent’s own last message is never shown to it again, what it said before is', async () => {
  const on = await recallScene();
  const agentId = await anAgent(on, memory);
  const id = await aTalk(on, [agentId]);
  await speaks(on, id, 'I think that the password is teapot.');
  await speaks(on, id, 'I think that the password is kettle.');
  await says(on, id, ...fillers);
  on.recall = indexed(on, () => passagesOf(on, like('I think')));
  const ready = await prepared(on, id);
  assert.equal(recalledBy(ready), ['I think that the password is teapot.']);
  assert.is(ready.record.retrieved?.[0]?.author, 'Ada');
});

test('at most k, at most what fits, and nothing that is too unlike; what does not fit makes room for the next', async () => {
  const on = await recallScene();
  const facts = Array.from({ length: 8 }, (_, i) => `Fact ${i} is short.`);
  const big = `Big fact: ${'very long '.repeat(200)}`;
  const id = await longTalk(on, { ...memory, k: 3, minScore: 0.6 }, big, ...facts);
  const score = (text: string) =>
    text.startsWith('Big') ? 0.95 : text.startsWith('Fact') ? 0.9 - Number(text[5]) / 20 : 0;
  on.recall = indexed(on, () => passagesOf(on, score));
  assert.equal(recalledBy(await prepared(on, id)), facts.slice(0, 3));
  const picky = await longTalk(on, { ...memory, minScore: 0.82 }, ...facts);
  assert.equal(recalledBy(await prepared(on, picky)), facts.slice(0, 2));
  const poor = await longTalk(on, { ...memory, maxTokens: 70 }, ...facts);
  assert.equal(recalledBy(await prepared(on, poor)), facts.slice(0, 1));
});

test.run();
