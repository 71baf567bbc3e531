import { createPostgresSlots } from '../../infra/postgresSlots.ts';
import { slotsContract } from '../contracts/slots.ts';
import { embeddedLog, realLog, type TestLog } from './postgresStores.ts';

const slotsOf = (log: TestLog) => ({
  slots: createPostgresSlots(log.database),
  another: async () => createPostgresSlots((await log.another()).database),
  stop: log.stop,
});
slotsContract('places on PostgreSQL', async () => slotsOf(await realLog()));
slotsContract('places on embedded Postgres', async () => slotsOf(await embeddedLog()));
