/** Logs whose texts are embedded, on each store that is to be had, and what must be true of the index afterwards. */
import { randomUUID } from 'node:crypto';
import * as assert from 'uvu/assert';
import { canonicalJson } from '../../domain/codec.ts';
import type { RecordedEvent } from '../../domain/envelope.ts';
import type { Passage, VectorIndex } from '../../domain/meaning/vectorIndex.ts';
import type { Clock, EventStore } from '../../domain/ports.ts';
import { Refusal } from '../../domain/refusal.ts';
import type { Database } from '../../infra/database.ts';
import { createPgvector } from '../../infra/pgvector.ts';
import { createWeaviate } from '../../infra/weaviate.ts';
import { runEmbeddings } from '../../projections/vectors/embedRun.ts';
import { embeddings, ledger } from '../../projections/embeddings.ts';
import { foldRows, knownEvent } from '../../projections/fold.ts';
import { passagesIn } from '../../projections/passages.ts';
import { skippedOf } from '../../projections/skippedEvents.ts';
import { decodeRow, liveView, selectList } from '../../projections/tables.ts';
import { liveIndex } from '../../projections/vectors/indexes.ts';
import type { MeaningParts } from '../../projections/vectors/versions.ts';
import { serverWithPgvector } from '../infra/pgvectorServer.ts';
import { realLog, type TestLog } from '../infra/postgresStores.ts';
import { NO_WEAVIATE, weaviateForTests } from '../services.ts';
import { wallClock } from '../standins/wallClock.ts';
import { appendAll, history, type Batch } from './events.ts';
import { vectorOf, wordEmbedder, type WordEmbedder } from './wordEmbedder.ts';

const QUICKER = 50;
/** Real time, with short sleeps: looks and pauses come soon. */
export const quickClock: Clock = { ...wallClock, sleep: (ms, signal) => wallClock.sleep(ms / QUICKER, signal) };

export interface TestStore {
  readonly name: VectorIndex['store'];
  open(database: Database): VectorIndex;
  stop(): Promise<void>;
}

/** The stores that are to be had; says which are left out. @param what is tested. */
export async function storesForTests(what: string): Promise<TestStore[]> {
  const stores: TestStore[] = [];
  if (await serverWithPgvector(`${what} on pgvector`))
    stores.push({ name: 'pgvector', open: (database) => createPgvector(database), stop: () => Promise.resolve() });
  const weaviate = await weaviateForTests();
  if (weaviate === null) console.log(`left out: ${what} on Weaviate: ${NO_WEAVIATE}`);
  else
    stores.push({
      name: 'weaviate',
      open: () => createWeaviate({ url: weaviate.url, lineage: randomUUID(), clock: wallClock }),
      stop: () => weaviate.stop(),
    });
  return stores;
}

/** A log in a database of its own, a model, and an index for its vectors. */
export interface World {
  readonly store: EventStore;
  readonly database: Database;
  readonly embedder: WordEmbedder;
  /** Wrapped by tests that come between. */
  index: VectorIndex;
  readonly meaning: MeaningParts;
}

const closing: (() => Promise<void>)[] = [];

/** Ends everything that was opened, what was opened last first: for `after.each`. */
export async function closeWorlds(): Promise<void> {
  for (let close = closing.pop(); close !== undefined; close = closing.pop()) await close();
}

/** Opens one; see `closeWorlds`. */
export async function openWorld(store: TestStore, openLog: () => Promise<TestLog> = realLog): Promise<World> {
  const log = await openLog();
  const own = store.open(log.database);
  const embedder = wordEmbedder();
  const world: World = {
    ...{ store: log.store, database: log.database, embedder, index: own },
    meaning: {
      embedder: () => embedder,
      index: (name) => (name === world.index.store ? world.index : notSetUp(name)),
      wanted: { model: embedder.model.name, store: own.store },
    },
  };
  closing.push(async () => {
    for (const version of await own.versions().catch(() => [])) await own.drop(version);
    await own.close();
    await log.stop();
  });
  return world;
}

function notSetUp(name: string): never {
  throw new Refusal('unavailable', `${name} is not set up`, { retryable: false });
}

export interface Embedding {
  readonly faults: unknown[];
  readonly audited: { version: number; amiss: number }[];
  /** Waits until everything in the log is embedded. */
  caughtUp(): Promise<void>;
  /** Whether the checkpoint gets to the log's end within a short time. */
  isStuck(): Promise<boolean>;
  stop(): Promise<void>;
}

/** Starts to embed as a worker does. @param meaning in the place of the world's. */
export async function startEmbedding(
  { store, database, meaning }: World,
  given: Partial<MeaningParts & { store: EventStore }> = {},
): Promise<Embedding> {
  const stopping = new AbortController();
  const faults: unknown[] = [];
  const audited: Embedding['audited'] = [];
  const runner = await runEmbeddings({
    ...{ knex: database.knex, store, clock: quickClock, signal: stopping.signal, ...meaning, ...given },
    onFault: (error) => void faults.push(error),
    onAudited: (each) => void audited.push(each),
  });
  const stop = async () => {
    stopping.abort();
    await runner.finished;
  };
  closing.push(stop);
  const reached = async (timeoutMs: number) =>
    runner.waitFor(await store.head(), [embeddings.name], { timeoutMs: timeoutMs * QUICKER });
  return {
    faults,
    audited,
    async caughtUp() {
      assert.ok(await reached(30_000), `not embedded in time; faults: ${faults.slice(-3).map(String).join(', ')}`);
    },
    isStuck: async () => !(await reached(500)),
    stop,
  };
}

/** Embeds everything in the log, and stops. */
export async function embedAll(world: World, given: Partial<MeaningParts> = {}): Promise<Embedding> {
  const running = await startEmbedding(world, given);
  await running.caughtUp();
  await running.stop();
  return running;
}

/** Waits until something is so. */
export async function until(what: string, is: () => boolean | Promise<boolean>): Promise<void> {
  for (const endMs = Date.now() + 30_000; !(await is()); await wallClock.sleep(20))
    if (Date.now() > endMs) throw new Error(`it never came to this: ${what}`);
}

/** Discussions in which every text differs: about a document, some of whose messages are of several chunks. */
export function talk(seed: number, batches = 60): Batch[] {
  let said = 0;
  const words = (count: number) =>
    Array.from({ length: count }, (_, i) => `word${seed}x${said}${i % 9 === 8 ? 'b.' : `n${i}`}`).join(' ');
  const changed = (data: object): object => {
    said += 1;
    if ('context' in data) return { ...data, context: { text: words(150) } };
    if (!('content' in data)) return data;
    return { ...data, content: [{ type: 'text', text: words(said % 5 === 0 ? 120 : 12) }] };
  };
  return history({ seed, discussions: 4, batches }).map((batch) => ({
    ...batch,
    events: batch.events.map((event) => ({ ...event, data: changed(event.data as object) })),
  }));
}

/** A talk in the log of the world. */
export async function say({ store }: World, seed: number, batches = 60): Promise<void> {
  await appendAll(store, talk(seed, batches));
}

/** Everything in the log. */
export async function eventsOf(store: EventStore): Promise<RecordedEvent[]> {
  const events: RecordedEvent[] = [];
  for await (const event of store.readAll(0n)) events.push(event);
  return events;
}

/** All passages of events, told without the code under test's way to participants. */
export function passagesOfAll(events: readonly RecordedEvent[]): Passage[] {
  const known = events.map(knownEvent).filter((event) => event !== null);
  const agents = new Map<string, string | undefined>();
  for (const { type, stream, data } of known)
    for (const each of type === 'ParticipantJoined' ? [data] : type === 'DiscussionForked' ? data.participants : [])
      agents.set(`${stream} ${each.participantId}`, each.agentId);
  return known.flatMap((event) => passagesIn(event, (id) => agents.get(`${event.stream} ${id}`) ?? null));
}

/**
 * Every passage of the log is in the live index once, is found by its own vector and comes back as it was said; the ledger
 * equals the fold; the checkpoint is that of the last event.
 * @param without events whose passages are not in the index; with a dead letter they stand in the ledger.
 */
export async function assertWhole(
  { store, database: { knex }, index, embedder }: World,
  without: readonly string[] = [],
): Promise<Passage[]> {
  const events = await eventsOf(store);
  const live = await liveIndex(knex);
  assert.ok(live, 'there is an index');
  const wanted = passagesOfAll(events).filter(({ eventId }) => !without.includes(eventId));
  const there: string[] = [];
  for await (const page of index.list(live.version)) there.push(...page.map(({ passageId }) => passageId));
  assert.equal(there.sort(), wanted.map(({ passageId }) => passageId).sort(), 'each passage once');
  for (const passage of wanted) {
    const vector = vectorOf(passage.text, embedder.model.dimensions);
    const asked = { vector, filter: { projects: null }, limit: 1 };
    const [hit] = await index.search(live.version, asked, { signal: new AbortController().signal });
    assert.equal(hit?.passage, passage, 'found by its own vector, as it was said');
    assert.ok((hit?.score ?? 0) > 0.999, `found at ${hit?.score}`);
  }
  const skipped = await skippedOf(knex, embeddings.name);
  const expected = [...(foldRows(embeddings, events, skipped).get(ledger.name)?.values() ?? [])];
  const { rows } = await knex.raw<{ rows: Record<string, unknown>[] }>(
    `select ${selectList(ledger)} from ${liveView(embeddings, ledger)}`,
  );
  const columns = Object.keys(ledger.columns);
  const shown = (row: Record<string, unknown>) => canonicalJson(Object.fromEntries(columns.map((c) => [c, row[c]])));
  assert.equal(rows.map((raw) => shown(decodeRow(ledger, raw))).sort(), expected.map(shown).sort(), 'the ledger');
  const checkpoint: unknown = await knex('projections')
    .where({ name: embeddings.name, status: 'live' })
    .first('position', 'event_id');
  assert.equal(checkpoint, { position: `${events.at(-1)?.position}`, event_id: events.at(-1)?.id });
  return wanted;
}
