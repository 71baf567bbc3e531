import { identitySeal, systemClock, systemIds } from '../../infra/system.ts';
import { clockContract } from '../contracts/clock.ts';
import { idsContract } from '../contracts/ids.ts';
import { sealContract } from '../contracts/seal.ts';

clockContract('of the machine', systemClock);
idsContract('of the machine', systemIds);
sealContract('that leaves texts as they are', identitySeal);
