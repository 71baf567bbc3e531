/** What a discussion looked like at any revision and time: folded from the log, equal to what the tables showed then. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { RecordedEvent } from '../../domain/envelope.ts';
import { readSettings } from '../../infra/config.ts';
import { createLogger } from '../../infra/logging.ts';
import { startService, type Service } from '../../scripts/service.ts';
import { suite } from '../harness.ts';
import { history } from '../projections/events.ts';
import { postgresForTests, type TestDatabase } from '../services.ts';

const test = suite('time travel');
let database: TestDatabase;
let folder: string;
let service: Service;
let id: string;
let recorded: RecordedEvent[];
/** By revision, what each read answered when that was the last one. */
const shownThen: Record<string, unknown>[] = [];

const reads = ['', '/participants', '/messages?limit=200', '/turns?limit=200'];
/** Only the projector: nobody works on the discussion but the test. */
const roles = new Set(['projector'] as const);

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: {
    data: { turnId: string }[];
    detail: string;
    code: string;
    nextCursor: string | null;
    participants: [];
  };
}

async function get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
  const answer = await fetch(`${service.url}/api/v1/discussions/${path}`, {
    headers: { authorization: `Bearer ${service.token}`, ...headers },
  });
  const text = await answer.text();
  return {
    status: answer.status,
    headers: answer.headers,
    body: (text === '' ? null : JSON.parse(text)) as Answer['body'],
  };
}

const then = (read: string, query: string) => `${id}${read}${read.includes('?') ? '&' : '?'}${query}`;

test.before(async () => {
  database = await postgresForTests();
  folder = await mkdtemp(join(tmpdir(), 'colloquy-then-'));
  const settings = readSettings({ PORT: '0', COLLOQUY_DATA: folder, DATABASE_URL: database.url });
  service = await startService(settings, createLogger('silent'), { nextFreePort: false, roles });
  const { store } = service.running.storage;
  const batches = history({ seed: 7, discussions: 1, batches: 45 });
  id = batches.find(({ stream }) => stream.startsWith('discussion-'))?.stream.slice('discussion-'.length) ?? '';
  // One by one: else the tables are never seen at the revisions inside a batch.
  for (const { stream, expectedRevision, events } of batches)
    for (const [i, event] of events.entries()) {
      const { position } = await store.append(stream, [event], expectedRevision + i);
      if (stream !== `discussion-${id}`) continue;
      const headers = { 'Consistency-Token': `p${position}`, Prefer: 'wait=10' };
      const answers = await Promise.all(
        reads.map(async (read) => [read, (await get(id + read, headers)).body] as const),
      );
      shownThen.push(Object.fromEntries(answers));
    }
  recorded = [];
  for await (const event of store.read(`discussion-${id}`)) recorded.push(event);
});

test.after(async () => {
  await service.stop();
  await database.stop();
  await rm(folder, { recursive: true, force: true });
});

test(
  'at every revision each read answers what the tables showed when that was the last one',
  async () => {
    assert.ok(recorded.length > 45 && recorded.length === shownThen.length, `${recorded.length} events`);
    for (const [revision, shown] of shownThen.entries())
      for (const read of reads) {
        const { status, headers, body } = await get(then(read, `atRevision=${revision}`));
        assert.is(status, 200, JSON.stringify(body));
        assert.equal(body, shown[read], `${read} at revision ${revision}`);
        assert.is(headers.get('etag'), `"r${revision}"`);
      }
  },
  { deadlineMs: 120_000 },
);

test('at the time of an event each read answers what the events up to then make', async () => {
  for (const [revision, { metadata }] of recorded.entries()) {
    const last = recorded.findLastIndex((each) => each.metadata.occurredAt <= metadata.occurredAt);
    const { body, headers } = await get(then('', `at=${metadata.occurredAt}`));
    assert.equal(body, shownThen[last]?.[''], `at revision ${revision}`);
    assert.is(headers.get('etag'), `"r${last}"`);
  }
  const noon = new Date(Date.parse(recorded[9]?.metadata.occurredAt ?? '') + 7_200_000).toISOString();
  const east = `${noon.slice(0, -1)}%2B02:00`;
  const last = recorded.findLastIndex((each) => each.metadata.occurredAt <= (recorded[9]?.metadata.occurredAt ?? ''));
  for (const read of reads) assert.equal((await get(then(read, `at=${east}`))).body, shownThen[last]?.[read], read);
});

test('pages of the past hold together, forwards and backwards, and their links keep the moment', async () => {
  const revision = recorded.length - 5;
  for (const list of ['/turns', '/messages'] as const) {
    const whole = (await get(`${id}${list}?limit=200&atRevision=${revision}`)).body.data;
    assert.ok(whole.length > 3, `${list}: ${whole.length}`);
    for (const backwards of [false, true]) {
      const pages: unknown[] = [];
      let next: string | null = `${id}${list}?limit=2&atRevision=${revision}&backwards=${backwards}`;
      while (next !== null) {
        const { body, headers }: Answer = await get(next);
        pages.push(...body.data);
        const link: string | null = headers.get('link');
        assert.is(link === null, body.nextCursor === null);
        next = link?.replace(/^<\/api\/v1\/discussions\/([^>]+)>.*$/, '$1') ?? null;
        if (next !== null) assert.match(next, `atRevision=${revision}`);
      }
      assert.equal(pages, backwards ? whole.toReversed() : whole);
    }
  }
});

test('one turn as it stood, and a turn that was not there yet', async () => {
  const requested = recorded.findIndex(({ type }) => type === 'TurnRequested');
  const { turnId } = recorded[requested]?.data as { turnId: string };
  for (let revision = requested; revision < recorded.length; revision += 7) {
    const { data } = shownThen[revision]?.['/turns?limit=200'] as Answer['body'];
    const { body } = await get(then(`/turns/${turnId}`, `atRevision=${revision}`));
    assert.equal(
      body,
      data.find((each) => each.turnId === turnId),
    );
  }
  const before = await get(then(`/turns/${turnId}`, `atRevision=${requested - 1}`));
  assert.equal([before.status, before.body.code], [404, 'not-found']);
});

test('a fork’s past shows what it shares, and its own events from revision 0', async () => {
  const atRevision = recorded.findLastIndex(({ type }) => type === 'TurnClaimed');
  const forked = await fetch(`${service.url}/api/v1/discussions/${id}/fork`, {
    method: 'POST',
    headers: { authorization: `Bearer ${service.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ atRevision }),
  });
  const child = (await forked.json()) as { id: string; revision: number };
  assert.is(forked.status, 201, JSON.stringify(child));
  const headers = { 'Consistency-Token': forked.headers.get('consistency-token') ?? '', Prefer: 'wait=10' };
  for (const read of reads) {
    const now = (await get(child.id + read, headers)).body;
    const past = await get(then(read, `atRevision=${child.revision}`).replace(id, child.id));
    assert.equal(past.body, now, read);
    const first = await get(then(read, 'atRevision=0').replace(id, child.id));
    assert.is(first.status, 200);
    if (read.startsWith('/messages'))
      assert.equal(first.body, shownThen[atRevision]?.[read], 'nothing was copied or lost');
  }
  const early = await get(`${child.id}?at=${recorded[0]?.metadata.occurredAt ?? ''}`);
  assert.equal([early.status, early.body.code], [404, 'not-found'], 'the fork was not there yet');
});

test('what cannot be answered is refused with a reason', async () => {
  const last = recorded.length - 1;
  const long = new Date(Date.parse(recorded[0]?.metadata.occurredAt ?? '') - 1).toISOString();
  const wrong = [
    ['atRevision=0&at=2026-01-02T03:04:06.000Z', 400, 'invalid', /not both/],
    [`atRevision=${last + 1}`, 404, 'not-found', new RegExp(`at revision ${last}: there is no ${last + 1} yet`)],
    ['atRevision=281474976710656', 404, 'not-found', /at revision/],
    ['atRevision=-1', 400, 'invalid', /form/],
    ['atRevision=1.5', 400, 'invalid', /form/],
    ['atRevision=', 400, 'invalid', /form/],
    ['atRevision=1&atRevision=2', 400, 'invalid', /form|once/],
    ['at=yesterday', 400, 'invalid', /form/],
    ['at=2026-13-01T00:00:00Z', 400, 'invalid', /form/],
    ['at=2199-01-01T00:00:00Z', 400, 'invalid', /has passed/],
    [`at=${long}`, 404, 'not-found', /did not exist/],
  ] as const;
  for (const read of reads)
    for (const [query, status, code, says] of wrong) {
      const { body, ...answer } = await get(then(read, query));
      assert.equal([answer.status, body.code], [status, code], `${read} ${query}: ${JSON.stringify(body)}`);
      assert.match(body.detail, says);
    }
  const elsewhere = '01890a5d-ac96-774b-bcce-b302099a8057';
  for (const read of reads)
    assert.is((await get(`${elsewhere}${read}${read.includes('?') ? '&' : '?'}atRevision=0`)).status, 404);
});

test('the past has an entity tag and needs no Consistency-Token', async () => {
  const known = await get(then('/messages?limit=200', 'atRevision=9'), { 'If-None-Match': '"r9"' });
  assert.is(known.status, 304);
  // Of a write that no table has seen: nothing is waited for.
  const token = { 'Consistency-Token': 'p9223372036854775807', Prefer: 'wait=10' };
  assert.is((await get(then('', 'atRevision=9'), token)).status, 200);
  assert.is((await get(then('', 'atRevision=9'), { 'Consistency-Token': 'nonsense' })).status, 400);
});

test.run();
