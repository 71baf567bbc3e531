/** Answers while they are being written, on a service whose model is slow. */
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import { checkDeltas, dataOf, durable, watch, type Viewer } from './eventSource.ts';
import { startServiceForTests, type TestService } from './serviceForTests.ts';
import { expected, logOf, talkingDiscussion, turnIn } from './serviceScenes.ts';

const test = suite('live text');
let on: TestService;

test.before(async () => {
  on = await startServiceForTests({ OFFLINE_TOKENS_PER_SECOND: '40' });
});
test.after(async () => {
  await on.stop();
});

const open = (path: string, headers: Readonly<Record<string, string>> = {}): Promise<Viewer> =>
  watch(`${on.url}/api/v1${path}`, { Authorization: `Bearer ${on.service.token}`, ...headers });

test(
  'a viewer who comes back in the middle of a turn gets its text from the start',
  async () => {
    const { id } = await talkingDiscussion(on, 1);
    const first = await open(`/discussions/${id}/stream`);
    await first.until(({ event }) => event === 'delta');
    await first.until(({ event, data }) => event === 'delta' && Number(data['offset']) > 10);
    first.close();
    const claimed = durable(first.frames).at(-1);
    const second = await open(`/discussions/${id}/stream`, { 'Last-Event-ID': claimed?.id ?? '' });
    const { data } = await second.until(({ event }) => event === 'delta');
    assert.is(data['offset'], 0);
    assert.ok(String(data['text']).length > 10, 'all that was written so far, at once');
    await second.ended;
    checkDeltas(second.frames);
    const deltas = second.frames.filter(({ event }) => event === 'delta').map((frame) => frame.data);
    const text = deltas.reduce((sum, delta) => sum.slice(0, Number(delta['offset'])) + String(delta['text']), '');
    const said = (await logOf(on, id)).find(({ type }) => type === 'TurnCompleted')?.['data'] as {
      content: { text: string }[];
    };
    assert.is(text.trim(), said.content[0]?.text.trim());
  },
  { deadlineMs: 40_000 },
);

test(
  'a cancelled turn: no delta after its end, for those who watch and those who come then',
  async () => {
    const opened = await talkingDiscussion(on, 3);
    const path = `/discussions/${opened.id}`;
    const early = await open(`${path}/stream`);
    await early.until(({ event }) => event === 'delta');
    expected(await on.post(`${path}/turns/${turnIn(opened)}/cancel`), 200);
    const late = await Promise.all(Array.from({ length: 5 }, () => open(`${path}/stream`)));
    await early.until(({ event }) => event === 'TurnAttemptAbandoned');
    expected(await on.post(`${path}/conclude`), 200);
    for (const viewer of [early, ...late]) {
      await viewer.ended;
      checkDeltas(viewer.frames);
      assert.equal(dataOf(viewer.frames), await logOf(on, opened.id));
    }
  },
  { deadlineMs: 20_000 },
);

test(
  'draining tells every viewer to come back, and where it was it goes on after a restart',
  async () => {
    const { id } = await talkingDiscussion(on, 2);
    const viewers = await Promise.all([
      open(`/discussions/${id}/stream`),
      open(`/discussions/${id}/stream`),
      open('/stream'),
    ]);
    for (const viewer of viewers.slice(0, 2)) await viewer.until(({ event }) => event === 'delta');
    const startedAt = performance.now();
    await on.restart();
    assert.ok(performance.now() - startedAt < 25_000);
    for (const viewer of viewers) {
      await viewer.ended;
      assert.is(viewer.frames.at(-1)?.event, 'reconnect');
      checkDeltas(viewer.frames);
    }
    const seen = dataOf(viewers[0]?.frames ?? []);
    const again = await open(`/discussions/${id}/stream`, { 'Last-Event-ID': String(seen.at(-1)?.['revision']) });
    await again.ended;
    assert.equal([...seen, ...dataOf(again.frames)], await logOf(on, id));
  },
  { deadlineMs: 60_000 },
);

test.run();
