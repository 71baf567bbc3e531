/**
 * One-use tickets for streams: a browser's EventSource cannot send headers, and a token in a URL ends in histories and
 * logs. A ticket is good once, for one path, for seconds, at any process. What is kept of it is a hash, so that nobody
 * who reads the database can open a stream.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Clock, Ids, Tickets } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Authenticated } from './authenticate.ts';

/** Longest life of a ticket. */
export const TICKET_LIFETIME_MS = 30_000;
const TICKET = /^[0-9a-f]{32}$/;
const LIMITS = { lifeMs: TICKET_LIFETIME_MS, perOwner: 100, inAll: 10_000 };

export interface StreamTickets {
  /**
   * @param path full path of the stream, e.g. `/api/v1/discussions/<id>/stream`; the query stays free.
   * @returns ticket and wall-clock ms of its end. @throws Refusal `rate-limited` when too many are waiting, `unavailable`.
   */
  issue(who: Authenticated, path: string): Promise<{ ticket: string; expiresAt: number }>;
  /** Spends the ticket whatever comes of it. @throws Refusal `unauthenticated`, `unavailable`. */
  redeem(ticket: string, path: string): Promise<Authenticated>;
}

const holderSchema = z.object({
  actor: z.object({
    kind: z.enum(['user', 'agent', 'worker', 'system']),
    id: z.string(),
    grants: z.array(z.object({ project: z.string(), role: z.string() })),
  }),
  expiresAt: z.number().nullable(),
});

/** @param tickets where all processes keep them. */
export function createStreamTickets(tickets: Tickets, clock: Clock, ids: Ids): StreamTickets {
  return {
    async issue(who, path) {
      const { actor, expiresAt } = who;
      const ticket = ids.nonce() + ids.nonce();
      const holder = JSON.stringify({ actor, expiresAt });
      const kept = { owner: `${actor.kind}:${actor.id}`, path, holder };
      const endsAt = await tickets.keep(hashOf(ticket), kept, LIMITS);
      if (endsAt === null)
        throw new Refusal('rate-limited', 'too many tickets are waiting to be used', {
          retryable: true,
          retryAfterMs: TICKET_LIFETIME_MS,
        });
      return { ticket, expiresAt: endsAt };
    },
    async redeem(secret, path) {
      // What cannot be one is not worth a query.
      const ticket = TICKET.test(secret) ? await tickets.spend(hashOf(secret)) : null;
      const who = ticket === null ? null : holderSchema.parse(JSON.parse(ticket.holder));
      const stale = who?.expiresAt != null && who.expiresAt <= clock.now();
      if (who === null || stale || ticket?.path !== path)
        throw new Refusal('unauthenticated', 'the ticket is used up, expired or for another stream; get a new one', {
          issues: [{ pointer: 'query/ticket', code: 'invalid-token', detail: 'is not a ticket for this path' }],
        });
      return who;
    },
  };
}

function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
