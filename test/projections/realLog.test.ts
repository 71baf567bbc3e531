import * as assert from 'uvu/assert';
import type { RecordedEvent } from '../../domain/envelope.ts';
import { watchCheckpoints } from '../../projections/checkpointWatch.ts';
import { commandQueries } from '../../projections/commands.ts';
import { readModels } from '../../projections/readModels.ts';
import { suite } from '../harness.ts';
import { embeddedLog, realLog, type TestLog } from '../infra/postgresStores.ts';
import { wallClock } from '../standins/wallClock.ts';
import { appendAll, history } from './events.ts';
import { assertEqualsFold, startRunner } from './readModelDatabase.ts';

const test = suite('read models of a real log');
const names = readModels.map((each) => each.name);

async function wholeLog({ store }: TestLog): Promise<RecordedEvent[]> {
  const events: RecordedEvent[] = [];
  for await (const event of store.readAll(0n)) events.push(event);
  return events;
}

for (const [where, open] of [
  ['PostgreSQL', realLog],
  ['the embedded database', embeddedLog],
] as const)
  test(
    `I5 on ${where}: log and read models in one database, while it is written and after a restart`,
    async () => {
      const log = await open();
      try {
        const all = history({ seed: 40, discussions: 5, batches: 200 });
        const options = { knex: log.database.knex, store: log.store, projections: readModels };
        const first = await startRunner(options);
        await appendAll(log.store, all.slice(0, 100));
        await first.stop();
        const second = await startRunner(options);
        const position = await appendAll(log.store, all.slice(100));
        assert.ok(await second.waitFor(position, names, { timeoutMs: 20_000 }));
        await second.stop();
        assert.equal([...first.faults, ...second.faults], []);
        await assertEqualsFold(log.database.knex, readModels, await wholeLog(log));
      } finally {
        await log.stop();
      }
    },
    { deadlineMs: 60_000 },
  );

test('readers in another process wait for this process and see what was written', async () => {
  const log = await realLog();
  try {
    const { store, database } = await log.another();
    const runner = await startRunner({ knex: log.database.knex, store: log.store, projections: readModels });
    const watch = watchCheckpoints(database.knex, wallClock, readModels);
    for (const batch of history({ seed: 41, discussions: 2, batches: 20 })) {
      const position = await appendAll(store, [batch]);
      assert.ok(await watch.waitFor(position, names, { timeoutMs: 5_000 }));
      const found = await commandQueries(database.knex).find(batch.events[0]?.metadata.commandId ?? '');
      assert.is(found.row?.lastPosition, `${position}`);
    }
    await runner.stop();
  } finally {
    await log.stop();
  }
});

test.run();
