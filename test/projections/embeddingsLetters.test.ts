/** Texts that cannot be embedded: letters behind which nothing waits, tried again or passed over one by one. */
import * as assert from 'uvu/assert';
import type { RecordedEvent } from '../../domain/envelope.ts';
import { Refusal } from '../../domain/refusal.ts';
import type { DeadLetter } from '../../projections/deadLetters.ts';
import { deadLettersDesk } from '../../projections/deadLettersDesk.ts';
import { embeddings } from '../../projections/embeddings.ts';
import { suite } from '../harness.ts';
import {
  assertWhole,
  closeWorlds,
  embedAll,
  eventsOf,
  openWorld,
  passagesOfAll,
  say,
  startEmbedding,
  storesForTests,
  until,
  type TestStore,
  type World,
} from './embeddingsForTests.ts';

const stores = await storesForTests('letters of texts');
const test = suite('texts that cannot be embedded');
test.after.each(closeWorlds);
test.after(async () => void (await Promise.all(stores.map((store) => store.stop()))));
const long = { deadlineMs: 60_000 };
const [retry, skip] = [
  { kind: 'retry', by: 'user:ada' } as const,
  { kind: 'skip', by: 'user:ada', reason: 'noise' } as const,
];

const deskOf = ({ database, store, meaning }: World) =>
  deadLettersDesk({ knex: database.knex, store, projections: [embeddings], meaning });
const settle = (world: World, { id }: DeadLetter, decision: typeof retry | typeof skip) =>
  deskOf(world).settle(id, decision, new AbortController().signal);

/** A log one of whose long texts the model refuses, in the middle of its stream. */
async function refusing(store: TestStore, seed: number): Promise<{ world: World; poison: RecordedEvent }> {
  const world = await openWorld(store);
  await say(world, seed, 60);
  const events = await eventsOf(world.store);
  const passages = passagesOfAll(events);
  const last = passages.findLast(({ chunk, kind, stream, revision }) => {
    const behind = passages.some((each) => each.stream === stream && each.revision > revision);
    return chunk > 0 && kind === 'message' && behind;
  });
  const poison = events.find(({ id }) => id === last?.eventId);
  assert.ok(last && poison);
  // Only its last chunk: none of the event's chunks must be there.
  world.embedder.refuses = last.text.split(' ').at(-1) ?? null;
  return { world, poison };
}

async function onlyLetter(world: World, status: DeadLetter['status'] = 'waiting'): Promise<DeadLetter> {
  const letters = await deskOf(world).list({ status, limit: 10 });
  assert.is(letters.length, 1);
  return letters[0] as DeadLetter;
}

for (const store of stores) {
  test(
    `${store.name}: one becomes a letter, the rest of its stream goes on; tried again when the model takes it`,
    async () => {
      const { world, poison } = await refusing(store, 1);
      const running = await startEmbedding(world);
      await running.caughtUp();
      assert.equal(running.faults, []);
      await assertWhole(world, [poison.id]);
      const letter = await onlyLetter(world);
      assert.equal(
        [letter.eventId, letter.type, letter.error, letter.laterEvents, letter.attempts],
        [poison.id, poison.type, 'the model cannot embed this text', 0, 1],
      );
      const again = await settle(world, letter, retry);
      assert.equal([again.applied, again.letter?.id, again.letter?.attempts], [0, letter.id, 2]);
      await assertWhole(world, [poison.id]);
      world.embedder.away = true;
      const refused: unknown = await settle(world, letter, retry).catch((error: unknown) => error);
      assert.ok(refused instanceof Refusal && refused.code === 'unavailable');
      world.embedder.away = false;
      world.embedder.refuses = null;
      assert.equal(await settle(world, letter, retry), { applied: 1, letter: null });
      assert.equal(await deskOf(world).list({ limit: 10 }), []);
      await say(world, 2, 10);
      await running.caughtUp();
      await running.stop();
      await assertWhole(world);
    },
    long,
  );

  test(
    `${store.name}: one that is skipped is in neither the ledger nor the index, also when all is embedded anew`,
    async () => {
      const { world, poison } = await refusing(store, 3);
      const running = await startEmbedding(world);
      await running.caughtUp();
      assert.equal(await settle(world, await onlyLetter(world), skip), { applied: 0, letter: null });
      assert.is((await onlyLetter(world, 'skipped')).eventId, poison.id);
      await assertWhole(world, [poison.id]);
      const { embedded } = world.embedder;
      await world.index.drop(1);
      await until('all are embedded anew', () => world.embedder.embedded > embedded);
      await running.stop();
      await embedAll(world);
      await assertWhole(world, [poison.id]);
      assert.equal(await deskOf(world).list({ status: 'waiting', limit: 10 }), []);
    },
    long,
  );
}

test.run();
