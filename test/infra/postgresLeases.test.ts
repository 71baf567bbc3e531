import { createPostgresLeases } from '../../infra/postgresLeases.ts';
import { leasesContract } from '../contracts/leases.ts';
import { embeddedLog, realLog, type TestLog } from './postgresStores.ts';

const leasesOf = ({ database, stop }: TestLog) => ({ leases: createPostgresLeases(database), stop });
leasesContract('leases on PostgreSQL', async () => leasesOf(await realLog()));
leasesContract('leases on embedded Postgres', async () => leasesOf(await embeddedLog()));
