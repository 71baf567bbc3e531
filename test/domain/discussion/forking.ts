/** Forks in a world of random steps: it goes on with the fork, and its log is the fork's lineage. */
import type { DiscussionCommand } from '../../../domain/discussion/commands.ts';
import type { DiscussionEvent, Policy } from '../../../domain/discussion/events.ts';
import { emptyPrefix, longerPrefix } from '../../../domain/discussion/fork.ts';
import type { Step, World } from './world.ts';

/** How many events of the lineage the fork that these events begin shares. */
export function offsetIn(events: readonly DiscussionEvent[]): number {
  return events[0]?.type === 'DiscussionForked' ? events[0].data.offset : 0;
}

/** A fork of the youngest discussion of the lineage, at any of its events. */
export function forkOf({ log }: World, { pick, amount }: Step, policies: readonly Policy[]): DiscussionCommand {
  const own = log.findLastIndex(({ revision }) => revision === 0);
  const last = own + (amount % (log.length - own));
  const prefix = log
    .slice(0, last + 1)
    .reduce((before, { event, ...place }) => longerPrefix(before, event, place), emptyPrefix);
  const limits = pick % 3 === 0 ? { limits: { maxTokens: 100_000, maxTurns: 60, deadline: null } } : {};
  const policy = pick % 4 === 0 ? { policy: policies[amount % policies.length] ?? { kind: 'manual' as const } } : {};
  return {
    kind: 'fork',
    ...{ parentId: `00000000-0000-4000-8000-${String(own).padStart(12, '0')}`, revision: last - own, prefix },
    ...{ prefixHash: 'f'.repeat(64), nonce: 'fedcba9876543210', ...limits, ...policy },
  };
}
