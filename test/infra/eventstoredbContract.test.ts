import { eventStoreContract } from '../contracts/eventStore.ts';
import { eventStoreForTests } from '../services.ts';
import { realLog, standinLog } from './eventstoredbStores.ts';

const without = { idsElsewhere: 'EventStoreDB compares ids with those at the same place only' };
const real = eventStoreForTests();

eventStoreContract('event store on the EventStoreDB stand-in', () => standinLog(), without);
if (real !== null) eventStoreContract('event store on EventStoreDB', () => realLog(real.url), without);
