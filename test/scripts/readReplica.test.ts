/** Reads from a real streaming replica: old while it lags, never older than the token that a reader brings. */
import * as assert from 'uvu/assert';
import { openDatabase, type Database } from '../../infra/database.ts';
import { migrate } from '../../infra/migrate.ts';
import { projectionLag } from '../../projections/lag.ts';
import { agentQueries } from '../../projections/agents.ts';
import { discussionQueries } from '../../projections/discussions.ts';
import { readModels } from '../../projections/readModels.ts';
import { openReadReplica, type ReadReplica } from '../../scripts/readReplica.ts';
import { suite } from '../harness.ts';
import { startReplicatedPostgres, type ReplicatedPostgres } from '../postgresReplica.ts';
import { appendAll, history } from '../projections/events.ts';
import { startRunner, type Running } from '../projections/readModelDatabase.ts';
import { createMemoryEventStore } from '../standins/memoryEventStore.ts';
import { wallClock } from '../standins/wallClock.ts';

const names = readModels.map(({ name }) => name);
const signal = new AbortController().signal;
const store = createMemoryEventStore();
const all = history({ seed: 41, discussions: 3, batches: 120 });
const titlesOf = async ({ knex }: Pick<Database, 'knex'>) =>
  (await discussionQueries(knex).list({ projects: null, limit: 50 })).map(({ id, revision }) => `${id} ${revision}`);

function replicaTests(servers: ReplicatedPostgres): void {
  const test = suite('a read replica');
  let primary: Database;
  let replica: ReadReplica;
  let runner: Running;

  test.before(async () => {
    primary = openDatabase({ connection: servers.primary, embedded: false, poolMax: 4, applicationName: 'primary' });
    replica = openReadReplica({ connection: servers.replica, poolMax: 2, applicationName: 'replica' });
    await migrate(primary.knex);
    runner = await startRunner({ knex: primary.knex, store, projections: readModels });
  });
  test.after(async () => {
    await runner.stop();
    await replica.close();
    await primary.close();
    await servers.stop();
  });

  test('a token waits until the replica has applied it, however far the server is', async () => {
    const first = await appendAll(store, all.slice(0, 40));
    assert.ok(await replica.waitFor(first, names, { timeoutMs: 8_000, signal }));
    assert.equal(await titlesOf(replica), await titlesOf(primary));

    await replica.knex.raw('select pg_wal_replay_pause()');
    const old = await titlesOf(replica);
    const second = await appendAll(store, all.slice(40));
    assert.ok(await runner.waitFor(second, names, { timeoutMs: 8_000 }), 'the server is ahead');
    assert.not.ok(await replica.waitFor(second, names, { timeoutMs: 300, signal }), 'the replica lags');
    assert.ok(await replica.waitFor(first, names, { timeoutMs: 300, signal }), 'older tokens need not wait');
    assert.equal(await titlesOf(replica), old);
    assert.not.equal(await titlesOf(primary), old);
    const lag = { store, clock: wallClock, projections: readModels, gapless: true };
    const behind = await projectionLag({ ...lag, knex: replica.knex });
    assert.ok(behind.every(({ events, seconds }) => (events ?? 0) > 0 && seconds > 0));
    assert.ok((await projectionLag({ ...lag, knex: primary.knex })).every(({ events }) => events === 0));

    const waiting = replica.waitFor(second, names, { timeoutMs: 8_000, signal });
    await replica.knex.raw('select pg_wal_replay_resume()');
    assert.ok(await waiting);
    assert.equal(await titlesOf(replica), await titlesOf(primary));
    assert.equal(
      await agentQueries(replica.knex).list({ projects: null, limit: 50 }),
      await agentQueries(primary.knex).list({ projects: null, limit: 50 }),
    );
  });

  test('nothing can be written to it', async () => {
    await replica
      .knex('projections')
      .update({ position: 0 })
      .then(
        () => assert.unreachable('must be refused'),
        (error: unknown) => assert.match(String(error), /read-only/),
      );
  });

  test('while it is away waiting ends in time', async () => {
    const away = openReadReplica({ connection: 'postgres://postgres@127.0.0.1:9/x', poolMax: 2, applicationName: 'x' });
    assert.not.ok(await away.waitFor(1n, names, { timeoutMs: 200, signal }));
    await away.close();
  });
  test.run();
}

const servers = await startReplicatedPostgres();
if (servers === null) console.log('left out: read replica: the PostgreSQL programs lack pg_basebackup');
else replicaTests(servers);
