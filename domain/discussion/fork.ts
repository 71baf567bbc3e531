/** A discussion that goes on where another one stood: it shares that one's events up to there and copies none. */
import { createHash } from 'node:crypto';
import { canonicalJson, type StoredRecord } from '../codec.ts';
import { Refusal } from '../refusal.ts';
import type { Fork, Newcomer } from './commands.ts';
import type { DiscussionEvent, DiscussionEventData } from './events.ts';
import { evolveDiscussion, type Place } from './evolve.ts';
import type { Discussion, ExistingDiscussion, Speaker } from './state.ts';

/** Forks of forks of forks; a chain of them is read whole when a state is folded from the log. */
export const MAX_ANCESTORS = 100;

/** What a prefix comes to; states do not carry all of it. */
export interface Prefix {
  readonly state: Discussion;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Why the last turn was given. */
  readonly why: DiscussionEventData<'TurnRequested'>['why'] | null;
}

/** Before the first event of a lineage. */
export const emptyPrefix: Prefix = { state: { status: 'none' }, inputTokens: 0, outputTokens: 0, why: null };

/** The prefix with one event more, in the order of the lineage. */
export function longerPrefix(prefix: Prefix, event: DiscussionEvent, place: Place): Prefix {
  const state = evolveDiscussion(prefix.state, event, place);
  if (event.type === 'TurnRequested') return { ...prefix, state, why: event.data.why };
  // Attempts that were under way when a fork was made are settled in the parent: only there do they count.
  if (event.type !== 'TurnCompleted' && event.type !== 'TurnAttemptAbandoned') return { ...prefix, state };
  const { inputTokens, outputTokens } = event.data.usage;
  return {
    ...prefix,
    state,
    inputTokens: prefix.inputTokens + inputTokens,
    outputTokens: prefix.outputTokens + outputTokens,
  };
}

/** The hash before a stream's first event. */
export const EMPTY_PREFIX_HASH = '0'.repeat(64);

/**
 * The hash of a stream up to an event: SHA-256, in hex, of the hash before it followed by the RFC 8785 JSON of `{stream,
 * revision, id, type, schemaVersion, data, metadata}`, where data and metadata are the SHA-256 of their stored bytes. What
 * an ancestor's ancestors hold is covered too: their hashes stand in its first event.
 */
export function nextPrefixHash(before: string, event: StoredRecord): string {
  const { stream, revision, id, type, schemaVersion } = event;
  const [data, metadata] = [sha256(event.data), sha256(event.metadata)];
  return sha256(before + canonicalJson({ stream, revision, id, type, schemaVersion, data, metadata }));
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/**
 * What begins the child's stream; `consequences` adds what follows.
 * @throws Refusal `conflict` when the lineage would grow too long, `invalid` for agents of participants who are not there.
 */
export function forkEvents(fork: Fork): DiscussionEvent[] {
  const { state } = fork.prefix;
  if (state.status === 'none') throw new Refusal('not-found', 'there is no such discussion');
  if (state.ancestors.length >= MAX_ANCESTORS)
    throw new Refusal('conflict', `at most ${MAX_ANCESTORS} forks can be made on top of each other`);
  const { turn } = state;
  const forked: DiscussionEvent = { type: 'DiscussionForked', data: forkedData(fork, state) };
  return turn === null
    ? [forked]
    : [forked, { type: 'TurnCancelled', data: { turnId: turn.turnId, reason: 'forked' } }];
}

function forkedData(fork: Fork, state: ExistingDiscussion): DiscussionEventData<'DiscussionForked'> {
  const { parentId, revision, prefix, prefixHash, nonce } = fork;
  const { projectId, title, topic, policy, limits, priority, turn, turnsRequested, turnsCompleted, messages } = state;
  const turns = turn === null ? turnsRequested : turn.number - 1;
  return {
    ...{ projectId, topic, priority, from: parentId, revision, prefixHash, nonce },
    title: fork.title ?? title,
    policy: fork.policy ?? policy,
    limits: { ...limits, ...fork.limits },
    participants: withAgents(state.participants, fork.agents ?? {}),
    turn: openTurnOf(state, prefix),
    ...{ turnsRequested, turnsCompleted, messages },
    ...{ inputTokens: prefix.inputTokens, outputTokens: prefix.outputTokens },
    offset: state.offset + revision + 1,
    ancestors: [...state.ancestors, { discussionId: parentId, revision, turns }],
  };
}

function openTurnOf({ turn }: ExistingDiscussion, { why }: Prefix): DiscussionEventData<'DiscussionForked'>['turn'] {
  if (turn === null || why === null) return null;
  const { turnId, number, participantId, answeredBy, attempts } = turn;
  const requestedAt = new Date(turn.requestedAtMs).toISOString();
  return { turnId, number, participantId, answeredBy, attempts, requestedAt, why };
}

/** Participants stay who they are, by id and name; other agents, or other versions, answer for them. */
function withAgents(participants: readonly Speaker[], agents: Readonly<Record<string, Newcomer>>): Speaker[] {
  for (const participantId of Object.keys(agents))
    if (!participants.some((each) => each.participantId === participantId && !each.left && each.kind !== 'person'))
      throw new Refusal('invalid', 'only agents that take part can be given another version', {
        issues: [
          {
            pointer: `/overrides/agents/${participantId}`,
            code: 'not-an-agent',
            detail: 'is no agent that takes part at that revision',
          },
        ],
      });
  return participants.map((each) => {
    const given = agents[each.participantId];
    if (given === undefined) return each;
    const { participantId, name, left, lastTurn, answerWithinMs } = each;
    const patience = given.kind === 'external' && answerWithinMs !== undefined ? { answerWithinMs } : {};
    return { ...given, participantId, name, left, lastTurn, ...patience };
  });
}
