import type { DiscussionEvent } from '../../domain/discussion/events.ts';
import { textOf } from '../../domain/content.ts';

/** Who took part, and the open turn, when a replay begins in the middle. */
export interface ReplayStart {
  readonly participants: readonly { readonly participantId: string; readonly name: string }[];
  readonly currentTurn: { readonly turnId: string; readonly number: number; readonly participantId: string } | null;
}

/** A discussion's events as lines for a person to read: who was asked, why, each attempt, what was said, the end. */
export function createReplayLines(start: ReplayStart | null = null): (event: DiscussionEvent) => string[] {
  const names = new Map<string, string>();
  const turns = new Map<string, { number: number; name: string }>();
  for (const { participantId, name } of start?.participants ?? []) names.set(participantId, name);
  const nameOf = (participantId: string) => names.get(participantId) ?? 'somebody';
  const turnOf = ({ turnId }: { turnId: string }) => {
    const { number, name } = turns.get(turnId) ?? { number: '?', name: 'somebody' };
    return `turn ${number} of ${name}`;
  };
  const open = start?.currentTurn ?? null;
  if (open !== null) turns.set(open.turnId, { number: open.number, name: nameOf(open.participantId) });
  return (event) => {
    if (event.type === 'ParticipantJoined') names.set(event.data.participantId, event.data.name);
    if (event.type === 'DiscussionForked')
      for (const { participantId, name } of event.data.participants) names.set(participantId, name);
    if (event.type === 'TurnRequested')
      turns.set(event.data.turnId, { number: event.data.number, name: nameOf(event.data.participantId) });
    switch (event.type) {
      case 'DiscussionOpened':
        return [`# ${event.data.title}`, event.data.topic];
      case 'DiscussionForked':
        return [`# ${event.data.title}`, `forked from ${event.data.from} at revision ${event.data.revision}`];
      case 'ParticipantJoined':
        return [`${event.data.name} joins (${event.data.kind})`];
      case 'ParticipantLeft':
        return [`${nameOf(event.data.participantId)} leaves`];
      case 'MessagePosted':
        return [`${event.data.author.name}: ${textOf(event.data.content)}`];
      case 'TurnRequested': {
        const { policy, reason } = event.data.why;
        return [`${turnOf(event.data)}: ${policy}, ${reason}`];
      }
      case 'TurnClaimed': {
        const { model } = event.data.prompt;
        return [`  attempt ${event.data.attempt} by ${event.data.worker}: ${model.provider}/${model.name}`];
      }
      case 'TurnAttemptAbandoned':
        return [`  attempt ${event.data.attempt} ended: ${event.data.reason}, ${event.data.detail}`];
      case 'TurnCompleted':
        return [`${nameOf(event.data.participantId)}: ${textOf(event.data.content)}`];
      case 'TurnFailed':
        return [`${turnOf(event.data)} failed: ${event.data.reason}, ${event.data.detail}`];
      case 'TurnSkipped':
        return [`${turnOf(event.data)} is skipped: ${event.data.reason}`];
      case 'TurnCancelled':
        return [`${turnOf(event.data)} is cancelled: ${event.data.reason}`];
      case 'DiscussionPaused':
        return [`paused: ${event.data.reason}`];
      case 'DiscussionResumed':
        return ['resumed'];
      case 'DiscussionConcluded':
        return [`concluded: ${event.data.reason}`];
      default:
        return changed(event);
    }
  };
}

function changed(event: DiscussionEvent): string[] {
  if (event.type === 'PolicySwitched') return [`turn policy: ${event.data.policy.kind}`];
  if (event.type === 'LimitsChanged') return [`limits: ${JSON.stringify(event.data.limits)}`];
  return [event.type];
}
