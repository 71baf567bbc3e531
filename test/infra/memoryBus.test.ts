import { createMemoryBus } from '../../infra/memoryBus.ts';
import { busContract } from '../contracts/bus.ts';

busContract('in memory', async () => {
  const bus = createMemoryBus();
  return { bus, other: bus, stop: async () => undefined };
});
