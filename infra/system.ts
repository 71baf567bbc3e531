import { randomBytes } from 'node:crypto';
import { v7 as uuidv7 } from 'uuid';
import type { Clock, Ids, Seal } from '../domain/ports.ts';

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, Math.min(ms, 2_147_483_647));
      signal?.addEventListener('abort', done, { once: true });
    }),
};

/** Ids and randomness of the machine. */
export const systemIds: Ids = {
  next: () => uuidv7(),
  nonce: () => randomBytes(8).toString('hex'),
  random: () => Math.random(),
};

/** Nothing is sealed yet: texts stand in the log as they are. */
export const identitySeal: Seal = {
  seal: (texts) => Promise.resolve(texts.map(({ text }) => text)),
  open: (texts) => Promise.resolve(texts.map(({ text }) => text)),
};
