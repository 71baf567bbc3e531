/** What is looked for before an agent speaks: each of the last messages by itself. */
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import { fillers, indexed, longTalk, passagesOf, prepared, recalledBy, recallScene, says } from './recallScene.ts';

const test = suite('workers: recall queries');
const PASSWORD = 'The password is teapot.';
const memory = { scope: 'discussion', k: 5, maxTokens: 600, minScore: 0.3 };

test('each of the last three messages is looked for, the newest first, of a long one its end', async () => {
  const on = await recallScene();
  const id = await longTalk(on, memory, PASSWORD);
  await says(on, id, 'So it was.');
  on.recall = indexed(on, () => passagesOf(on));
  await prepared(on, id);
  const expected = ['So it was.', fillers.at(-1)?.trimEnd(), fillers.at(-2)?.trimEnd()];
  const queries = on.asked.map(({ query }) => query);
  assert.equal(queries, expected);
  on.asked.length = 0;
  await says(on, id, `${'long '.repeat(300)}end`);
  await prepared(on, id);
  assert.equal([on.asked[0]?.query.length, on.asked[0]?.query.endsWith('long end')], [1_000, true]);
});

test('a question among small talk finds its answer, however much liker each other small talk is', async () => {
  const on = await recallScene();
  const chat = ['Nice day, is it not?', 'What a nice day.', 'A nice day indeed.', 'Nice, nice.'];
  const id = await longTalk(on, { ...memory, k: 2 }, PASSWORD, ...chat);
  await says(on, id, 'A nice day again.', 'What was the password?', 'And nice people.');
  const isChat = (text: string) => /\bnice\b/iu.test(text);
  on.recall = indexed(on, (query) =>
    passagesOf(on, (text) =>
      isChat(text) ? (isChat(query) ? 0.95 : 0.5) : isChat(query) ? 0.1 : text === PASSWORD ? 0.8 : 0.1,
    ),
  );
  const { record, rendered } = await prepared(on, id);
  assert.equal(
    record.retrieved?.map(({ score }) => score),
    [0.8, 0.95],
    'the best of each in turn',
  );
  assert.equal(recalledBy({ rendered }), [PASSWORD, chat[0]]);
});

test('what is too unlike one message is recalled when it is like another, with the score of that one', async () => {
  const on = await recallScene();
  const id = await longTalk(on, memory, PASSWORD);
  await says(on, id, 'What was the password?', 'I forgot.');
  const scoreOf = (query: string) => (query.startsWith('What') ? 0.6 : 0.2);
  on.recall = indexed(on, (query) => passagesOf(on, (text) => (text === PASSWORD ? scoreOf(query) : 0.1)));
  const { record } = await prepared(on, id);
  assert.equal(
    record.retrieved?.map(({ score }) => score),
    [0.6],
  );
});

test('messages without words are not looked for, and equal ones once', async () => {
  const on = await recallScene();
  const id = await longTalk(on, memory, PASSWORD);
  const queries = async (...texts: string[]) => {
    await says(on, id, ...texts);
    on.asked.length = 0;
    await prepared(on, id);
    return on.asked.map(({ query }) => query);
  };
  on.recall = indexed(on, () => passagesOf(on));
  assert.equal(await queries('Yes.', 'Yes.', ' \n'), ['Yes.']);
  assert.equal(await queries('\n', `So?${' '.repeat(2_000)}`), ['So?']);
  assert.equal(await queries(' ', ' ', ' '), ['Tea or coffee?']);
});

test.run();
