import { createPostgresRequestCounts } from '../../infra/postgresRequestCounts.ts';
import { requestCountsContract } from '../contracts/requestCounts.ts';
import { embeddedLog, realLog, type TestLog } from './postgresStores.ts';

const countsOf = async (log: TestLog) => ({
  counts: createPostgresRequestCounts(log.database),
  elsewhere: createPostgresRequestCounts((await log.another()).database),
  stop: log.stop,
});
requestCountsContract('request counts on PostgreSQL', async () => countsOf(await realLog()));
requestCountsContract('request counts on embedded Postgres', async () => countsOf(await embeddedLog()));
