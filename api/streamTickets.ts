/**
 * One-use tickets for streams: a browser's EventSource cannot send headers, and a token in a URL ends in histories and
 * logs. A ticket is good once, for one path, for seconds. Kept in this process: a client opens its stream where it got
 * the ticket, or asks for another.
 */
import type { Clock, Ids } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Authenticated } from './authenticate.ts';

/** Longest life of a ticket. */
export const TICKET_LIFETIME_MS = 30_000;
const MAX_TICKETS = 10_000;
const MAX_TICKETS_PER_ACTOR = 100;

export interface StreamTickets {
  /**
   * @param path full path of the stream, e.g. `/api/v1/discussions/<id>/stream`; the query stays free.
   * @returns ticket and wall-clock ms of its end. @throws Refusal `rate-limited` when too many are waiting.
   */
  issue(who: Authenticated, path: string): { ticket: string; expiresAt: number };
  /** Spends the ticket whatever comes of it. @throws Refusal `unauthenticated`. */
  redeem(ticket: string, path: string): Authenticated;
}

interface Ticket {
  readonly who: Authenticated;
  readonly owner: string;
  readonly path: string;
  readonly endsAtMs: number;
}

/** @param lifetimeMs at most 30 s. */
export function createStreamTickets(clock: Clock, ids: Ids, lifetimeMs: number = TICKET_LIFETIME_MS): StreamTickets {
  const tickets = new Map<string, Ticket>();
  const perOwner = new Map<string, number>();
  const life = Math.min(lifetimeMs, TICKET_LIFETIME_MS);

  const drop = (key: string, { owner }: Ticket): void => {
    tickets.delete(key);
    const left = (perOwner.get(owner) ?? 1) - 1;
    if (left > 0) perOwner.set(owner, left);
    else perOwner.delete(owner);
  };
  const dropExpired = (): void => {
    // All live equally long, so the oldest come first.
    for (const [key, ticket] of tickets) {
      if (ticket.endsAtMs > clock.monotonic()) return;
      drop(key, ticket);
    }
  };

  return {
    issue(who, path) {
      dropExpired();
      const owner = `${who.actor.kind}:${who.actor.id}`;
      const held = perOwner.get(owner) ?? 0;
      if (held >= MAX_TICKETS_PER_ACTOR || tickets.size >= MAX_TICKETS)
        throw new Refusal('rate-limited', 'too many tickets are waiting to be used', {
          retryable: true,
          retryAfterMs: life,
        });
      const ticket = ids.nonce() + ids.nonce();
      tickets.set(ticket, { who, owner, path, endsAtMs: clock.monotonic() + life });
      perOwner.set(owner, held + 1);
      return { ticket, expiresAt: clock.now() + life };
    },
    redeem(key, path) {
      const ticket = tickets.get(key);
      if (ticket) drop(key, ticket);
      const stale = ticket?.who.expiresAt != null && ticket.who.expiresAt <= clock.now();
      if (!ticket || stale || ticket.path !== path || ticket.endsAtMs <= clock.monotonic())
        throw new Refusal('unauthenticated', 'the ticket is used up, expired or for another stream; get a new one', {
          issues: [{ pointer: 'query/ticket', code: 'invalid-token', detail: 'is not a ticket for this path' }],
        });
      return ticket.who;
    },
  };
}
