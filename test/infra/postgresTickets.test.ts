import { createPostgresTickets } from '../../infra/postgresTickets.ts';
import { ticketsContract } from '../contracts/tickets.ts';
import { embeddedLog, realLog, type TestLog } from './postgresStores.ts';

const ticketsOf = async (log: TestLog) => ({
  tickets: createPostgresTickets(log.database),
  elsewhere: createPostgresTickets((await log.another()).database),
  stop: log.stop,
});
ticketsContract('tickets on PostgreSQL', async () => ticketsOf(await realLog()));
ticketsContract('tickets on embedded Postgres', async () => ticketsOf(await embeddedLog()));
