import { createPgvector } from '../../infra/pgvector.ts';
import { vectorIndexContract } from '../contracts/vectorIndex.ts';
import { serverWithPgvector } from './pgvectorServer.ts';
import { embeddedLog, realLog, type TestLog } from './postgresStores.ts';

const indexOf = (log: TestLog) => ({
  index: createPgvector(log.database),
  another: async () => createPgvector((await log.another()).database),
  stop: log.stop,
});
vectorIndexContract('pgvector on embedded Postgres', async () => indexOf(await embeddedLog()));
if (await serverWithPgvector('the contract of pgvector on a server'))
  vectorIndexContract('pgvector on PostgreSQL', async () => indexOf(await realLog()));
