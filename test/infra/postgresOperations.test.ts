import { createPostgresOperations } from '../../infra/postgresOperations.ts';
import { operationRecordsContract } from '../contracts/operationRecords.ts';
import { embeddedLog, realLog, type TestLog } from './postgresStores.ts';

const recordsOf = async (log: TestLog) => ({
  records: createPostgresOperations(log.database),
  elsewhere: createPostgresOperations((await log.another()).database),
  async silence(id: string, ms: number) {
    const sql = `update operations set alive_at = clock_timestamp() - $2 * interval '1 millisecond' where id = $1`;
    await log.database.pool.query(sql, [id, ms]);
  },
  stop: log.stop,
});
operationRecordsContract('operations on PostgreSQL', async () => recordsOf(await realLog()));
operationRecordsContract('operations on embedded Postgres', async () => recordsOf(await embeddedLog()));
