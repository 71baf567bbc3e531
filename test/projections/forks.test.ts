/** Read models of discussions that were forked: equal to the fold, and each stream folds by itself. */
import * as assert from 'uvu/assert';
import { abandonTurn } from '../../commands/abandonTurn.ts';
import { discussions } from '../../commands/aggregate.ts';
import { cancelTurn } from '../../commands/cancelTurn.ts';
import { claimTurn } from '../../commands/claimTurn.ts';
import { completeTurn } from '../../commands/completeTurn.ts';
import { existing } from '../../commands/discussionCommand.ts';
import { forkDiscussion, forkDiscussionSchema } from '../../commands/forkDiscussion.ts';
import { load } from '../../commands/states.ts';
import { partsOf } from '../../domain/discussion/lineage.ts';
import { discussionQueries } from '../../projections/discussions.ts';
import { foldRows } from '../../projections/fold.ts';
import { messageQueries } from '../../projections/messages.ts';
import { readModels } from '../../projections/readModels.ts';
import { turnQueries } from '../../projections/turnQueries.ts';
import { usageQueries } from '../../projections/usage.ts';
import { asked, createWorld, processOn, worker } from '../commands/engineForTests.ts';
import { aClaimedDiscussion, answerOf, claimOf, giveUpOf, turnOf } from '../commands/scenes.ts';
import { suite } from '../harness.ts';
import { applyAll, assertEqualsFold, readModelDatabase, type ReadModelDatabase } from './readModelDatabase.ts';

const test = suite('read models of forks');
let database: ReadModelDatabase;
test.before(async () => {
  database = await readModelDatabase();
});
test.after(() => database.stop());

/** A parent whose second turn is under way, its fork there, and a fork of that; then all go on. */
async function family() {
  const world = createWorld();
  const engine = await processOn(world);
  const first = await aClaimedDiscussion(engine);
  const fork = async (id: string, atRevision: number) =>
    forkDiscussion(engine, id, forkDiscussionSchema.parse({ atRevision }), asked());
  const lost = await abandonTurn(engine, first.id, giveUpOf(first), asked());
  const again = await claimTurn(
    engine,
    first.id,
    claimOf(lost, { attempt: 2 }),
    lost.revision,
    asked({ actor: worker }),
  );
  const child = await fork(first.id, again.revision);
  const grandchild = await fork(child.id, 0);
  await completeTurn(engine, first.id, { ...answerOf(again), attempt: 2 }, asked());
  await cancelTurn(engine, child.id, turnOf(child), asked());
  return { world, engine, ids: [first.id, child.id, grandchild.id] as const };
}

test('I5 with forks: tables equal the fold, and every stream gives the same rows alone', async () => {
  const { world, ids } = await family();
  await applyAll({ knex: database.knex, store: world.log, projections: readModels });
  await assertEqualsFold(database.knex, readModels, world.log.events);
  for (const projection of readModels) {
    const whole = foldRows(projection, world.log.events);
    for (const id of ids) {
      const own = world.log.events.filter(({ stream }) => stream === `discussion-${id}`);
      for (const [table, rows] of foldRows(projection, own))
        for (const [key, row] of rows) assert.equal(row, whole.get(table)?.get(key), `${table} ${key}`);
    }
  }
});

test('what the fork’s row and queries say is what its state says', async () => {
  await database.empty();
  const { world, engine, ids } = await family();
  await applyAll({ knex: database.knex, store: world.log, projections: readModels });
  const { knex } = database;
  for (const id of ids) {
    const state = existing((await load(engine, discussions, `discussion-${id}`)).state);
    const parts = partsOf(id, state.ancestors);
    const row = await discussionQueries(knex).one(id);
    assert.ok(row);
    assert.equal(row.forkedFrom, state.forkedFrom);
    assert.equal([row.turnsCompleted, row.messages, row.title], [state.turnsCompleted, state.messages, state.title]);
    assert.is(row.inputTokens + row.outputTokens, state.tokensUsed);
    assert.is(row.currentTurn?.turnId, state.turn?.turnId);
    const used = await usageQueries(knex).ofDiscussion(parts);
    assert.is(used.inputTokens + used.outputTokens, state.tokensUsed);
    assert.is(used.reservedTokens, 0);
    const turns = await turnQueries(knex).byDiscussion(parts, { limit: 50 });
    assert.equal(
      turns.map(({ number }) => number),
      Array.from({ length: state.turnsRequested }, (_, i) => i + 1),
    );
    assert.is((await messageQueries(knex).byDiscussion(parts, { limit: 50 })).length, state.messages);
    for (const { turnId, discussionId } of turns)
      assert.is((await turnQueries(knex).one(parts, turnId))?.discussionId, discussionId);
  }
});

test.run();
