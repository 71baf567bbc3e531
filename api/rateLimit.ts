/** Requests per principal (else per address), counted in this process or by all processes together. */
import type { Request, Response } from 'express';
import { ipKeyGenerator, rateLimit, type Store } from 'express-rate-limit';
import type { Clock, RequestCounts } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import { sharedWindows } from './sharedWindows.ts';

export interface RateLimitSettings {
  readonly requests: number;
  readonly windowMs: number;
}

/** Counts one request for the exchange's principal, or for the address while nobody is authenticated, and sets the
 * draft-8 `RateLimit` headers. @throws Refusal `rate-limited`. */
export type CountRequest = (req: Request, res: Response) => Promise<void>;

/** More principals and addresses than this within one window and the oldest are forgotten. */
const MAX_KEYS = 50_000;

/**
 * Fixed windows, bounded in memory. @param settings how many requests in how long.
 * @param counts what all processes count together; without it each counts on its own.
 */
export function createRateLimit(
  { requests, windowMs }: RateLimitSettings,
  clock: Clock,
  counts?: RequestCounts,
): CountRequest {
  const store =
    counts === undefined
      ? fixedWindows(windowMs, clock)
      : sharedWindows({ counts, clock, requests, windowMs, maxKeys: MAX_KEYS });
  const limiter = rateLimit({
    limit: requests,
    windowMs,
    store,
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    identifier: 'requests',
    // Its start-up checks print to the console and judge a setup of middleware that this is not.
    validate: false,
    keyGenerator: (_req, res) => principalOf(res) ?? `address:${ipKeyGenerator(_req.ip ?? '')}`,
    handler: (_req, res, next) => {
      const seconds = Number(res.getHeader('Retry-After') ?? windowMs / 1000);
      next(
        new Refusal('rate-limited', `more than ${requests} requests in ${Math.ceil(windowMs / 1000)} s`, {
          retryable: true,
          retryAfterMs: seconds * 1000,
        }),
      );
    },
  });
  return async (req, res) => {
    await new Promise<void>((resolve, reject) => {
      const next = (error?: unknown): void => (error instanceof Error ? reject(error) : resolve());
      Promise.resolve(limiter(req, res, next)).catch(reject);
    });
  };
}

function principalOf(res: { locals: Response['locals'] }): string | undefined {
  return res.locals.exchange.principal;
}

/** Like the library's own store, but bounded, without a timer of its own, and on our clock. */
function fixedWindows(windowMs: number, clock: Clock): Store {
  const windows = new Map<string, { totalHits: number; resetTime: Date }>();
  return {
    localKeys: true,
    increment(key) {
      const now = clock.now();
      let window = windows.get(key);
      if (window === undefined || window.resetTime.getTime() <= now) {
        windows.delete(key);
        if (windows.size >= MAX_KEYS)
          for (const oldest of windows.keys()) {
            windows.delete(oldest);
            break;
          }
        window = { totalHits: 0, resetTime: new Date(now + windowMs) };
        windows.set(key, window);
      }
      window.totalHits += 1;
      return window;
    },
    decrement(key) {
      const window = windows.get(key);
      if (window) window.totalHits -= 1;
    },
    resetKey: (key) => void windows.delete(key),
  };
}
