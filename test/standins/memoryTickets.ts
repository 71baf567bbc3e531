import type { Clock, Tickets } from '../../domain/ports.ts';
import type { Ticket } from '../../domain/tickets.ts';

/** The Tickets port in memory, on the clock given: for tests that turn the clock. */
export function createMemoryTickets(clock: Pick<Clock, 'now'>): Tickets {
  const kept = new Map<string, Ticket & { endsAt: number }>();
  return {
    async keep(hash, ticket, { lifeMs, perOwner, inAll }) {
      const living = [...kept.values()].filter(({ endsAt }) => endsAt > clock.now());
      if (living.length >= inAll || living.filter(({ owner }) => owner === ticket.owner).length >= perOwner)
        return null;
      const endsAt = clock.now() + lifeMs;
      kept.set(hash, { ...ticket, endsAt });
      return endsAt;
    },
    async spend(hash) {
      const found = kept.get(hash);
      kept.delete(hash);
      if (found === undefined || found.endsAt <= clock.now()) return null;
      const { owner, path, holder } = found;
      return { owner, path, holder };
    },
  };
}
