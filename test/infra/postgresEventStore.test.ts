import { eventStoreContract } from '../contracts/eventStore.ts';
import { embeddedLog, realLog } from './postgresStores.ts';

eventStoreContract('event store on PostgreSQL', realLog);
eventStoreContract('event store on embedded Postgres', embeddedLog);
