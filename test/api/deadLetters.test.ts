import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import { startServiceForTests, type TestService } from './serviceForTests.ts';
import { expected, parkedDiscussion, quietDiscussion, shown, UNKNOWN } from './serviceScenes.ts';

const test = suite('dead letters over the API');
let on: TestService;
let reader: string;
test.before(async () => {
  on = await startServiceForTests();
  reader = await on.mint({ kind: 'user', id: 'rita', grants: [{ project: '*', role: 'viewer' }] });
});
test.after(() => on.stop());

test('a parked stream is listed, shown without its texts, and goes on after a retry', async () => {
  const { id } = await quietDiscussion(on);
  const letter = await parkedDiscussion(on, id);
  expected(await on.post(`/discussions/${id}/messages`, { content: 'Hello.' }), 201);
  const listed = expected(await on.get('/dead-letters?status=waiting&projection=discussions'), 200).data;
  assert.equal(
    listed.map((each) => [each['id'], each['status'], each['live']]),
    [[letter, 'waiting', true]],
  );
  const masked = expected(await on.get(`/dead-letters/${letter}`, { token: reader }), 200);
  assert.is(masked['masked'], true);
  assert.match(JSON.stringify(masked.data), /"topic":"<text of 14>"/);
  assert.not.match(JSON.stringify(masked), /Tea or coffee/);
  expected(await on.get(`/dead-letters/${letter}?reveal=true`, { token: reader }), 403, 'forbidden');
  assert.match(JSON.stringify(expected(await on.get(`/dead-letters/${letter}?reveal=true`), 200)), /Tea or coffee/);

  const metrics = await fetch(`${on.url}/metrics`, { headers: { Authorization: `Bearer ${on.service.token}` } });
  assert.match(await metrics.text(), /^dead_letters 1$/m);
  assert.is.not((await on.get(`/discussions/${id}`)).status, 200);
  const done = expected(await on.post(`/dead-letters/${letter}/retry`), 200);
  assert.is(done['letter'], null);
  const discussion = await shown(on, `/discussions/${id}`, (body) => body.id === id);
  assert.is(discussion['title'], 'Tea');
  expected(await on.post(`/dead-letters/${letter}/retry`), 409, 'conflict');
  expected(await on.post(`/dead-letters/${letter}/skip`, { reason: 'x' }), 409, 'conflict');
  expected(await on.post(`/dead-letters/${UNKNOWN}/retry`), 404, 'not-found');
});

test('a skip says who and why for ever; what cannot go on without the event becomes the letter or is passed over', async () => {
  const { id } = await quietDiscussion(on);
  const letter = await parkedDiscussion(on, id);
  expected(await on.post(`/dead-letters/${letter}/skip`, {}), 400, 'invalid');
  expected(await on.post(`/dead-letters/${letter}/skip`, { reason: ' ' }), 400, 'invalid');
  expected(await on.post(`/dead-letters/${letter}/skip`, { reason: 'spoiled' }), 200);
  const [skipped] = expected(await on.get('/dead-letters?status=skipped'), 200).data;
  assert.is(skipped?.['id'], letter);
  const { by, reason } = skipped?.['skipped'] as { by: string; reason: string };
  assert.equal([by, reason], ['user:administrator', 'spoiled']);
  expected(await on.post(`/dead-letters/${letter}/retry`), 409, 'conflict');
});

test('pages of letters meet each letter once', async () => {
  const letters: string[] = [];
  for (let i = 0; i < 5; i += 1) letters.push(await parkedDiscussion(on, (await quietDiscussion(on)).id));
  const seen: unknown[] = [];
  for (let path: string | null = '/dead-letters?status=waiting&limit=2'; path !== null;) {
    const { data, nextCursor } = expected(await on.get(path), 200);
    seen.push(...data.map((each) => each['id']).filter((each) => letters.includes(String(each))));
    path = nextCursor === null ? null : `/dead-letters?status=waiting&limit=2&cursor=${nextCursor}`;
  }
  assert.equal(seen, letters);
});

test.run();
