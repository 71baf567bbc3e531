import { eventStoreContract } from '../contracts/eventStore.ts';
import { createMemoryEventStore } from './memoryEventStore.ts';

eventStoreContract('EventStore in memory', async () => {
  const store = createMemoryEventStore();
  return { store, stop: async () => store.close() };
});
