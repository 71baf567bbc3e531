import { createPostgresSnapshots } from '../../infra/postgresSnapshots.ts';
import { snapshotsContract } from '../contracts/snapshots.ts';
import { embeddedLog, realLog, type TestLog } from './postgresStores.ts';

const snapshotsOf = ({ database, stop }: TestLog) => ({ snapshots: createPostgresSnapshots(database), stop });
snapshotsContract('snapshots on PostgreSQL', async () => snapshotsOf(await realLog()));
snapshotsContract('snapshots on embedded Postgres', async () => snapshotsOf(await embeddedLog()));
