/**
 * A process for `processes.test.ts` to kill: brings the database given as argument to its schema, keeps the read models up
 * to date, and prints `projecting` when it has begun, `fault <why>` for trouble. Ends when its input does.
 */
import { openDatabase } from '../../infra/database.ts';
import { migrate } from '../../infra/migrate.ts';
import { createPostgresEventStore } from '../../infra/postgresEventStore.ts';
import { readModels } from '../../projections/readModels.ts';
import { runProjections } from '../../projections/run.ts';
import { plainCodec } from '../contracts/sampleEvents.ts';
import { wallClock } from '../standins/wallClock.ts';

const url = process.argv[2];
if (url === undefined) throw new Error('usage: projectingChild.ts <database>');

const database = openDatabase({ connection: url, poolMax: 3, embedded: false, applicationName: 'projecting child' });
await migrate(database.knex);
const store = createPostgresEventStore({ pool: database.pool, codec: plainCodec, embedded: false });
const stopping = new AbortController();
const runner = await runProjections({
  knex: database.knex,
  store,
  clock: wallClock,
  projections: readModels,
  signal: stopping.signal,
  onFault: (error) => console.log(`fault ${error instanceof Error ? error.message : String(error)}`),
});
console.log('projecting');
process.stdin.resume().once('end', () => stopping.abort());
await runner.finished;
await store.close();
await database.close();
