import { createMemoryBus } from '../../infra/memoryBus.ts';
import { busContract } from '../contracts/bus.ts';

busContract('in memory', async () => ({ bus: createMemoryBus(), stop: async () => undefined }));
