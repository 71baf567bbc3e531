import { Refusal } from '../refusal.ts';
import type { Content } from '../content.ts';
import type { DiscussionCommand, Newcomer } from './commands.ts';
import { consequences } from './consequences.ts';
import type { DiscussionEvent } from './events.ts';
import { forkEvents } from './fork.ts';
import { deadlinePassed, stopPhraseEnd } from './limits.ts';
import { present, type Discussion, type ExistingDiscussion } from './state.ts';
import { decideTurn } from './turns.ts';

/** What a decider may know of the world. */
export interface Deciding {
  readonly nowMs: number;
  /** uuidv5(commandId, label): the same command makes the same ids. */
  newId(label: string): string;
  /** Revision of the state; −1 before the first event. */
  readonly revision: number;
}

const MAX_PARTICIPANTS = 100;

/**
 * The events that a command makes of a state, with all that follows from them (the next turn, the end) in the same batch.
 * @throws Refusal when the state forbids it (`conflict`), the request is malformed (`invalid`), or names what is not there (`not-found`).
 */
export function decideDiscussion(state: Discussion, command: DiscussionCommand, ctx: Deciding): DiscussionEvent[] {
  if (command.kind === 'open') {
    if (state.status !== 'none') throw new Refusal('conflict', 'this discussion exists already');
    return consequences(state, open(command, ctx), ctx);
  }
  if (command.kind === 'fork') {
    if (state.status !== 'none') throw new Refusal('conflict', 'this discussion exists already');
    checkDeadline(command.limits?.deadline ?? null, ctx, '/overrides/limits/deadline');
    return consequences(command.prefix.state, forkEvents(command), ctx);
  }
  if (state.status === 'none') throw new Refusal('not-found', 'there is no such discussion');
  const settles = command.kind === 'abandonTurn' && state.turn?.turnId !== command.turnId;
  if (state.status === 'concluded' && !settles)
    throw new Refusal('conflict', `the discussion has concluded (${state.reason})`);
  return consequences(state, decideExisting(state, command, ctx), ctx);
}

function decideExisting(
  state: ExistingDiscussion,
  command: Exclude<DiscussionCommand, { kind: 'open' | 'fork' }>,
  ctx: Deciding,
): DiscussionEvent[] {
  switch (command.kind) {
    case 'join':
      return join(state, command.participant, ctx);
    case 'leave':
      return leave(state, command.participantId);
    case 'post':
      return post(state, command, ctx);
    case 'pause':
      if (state.status === 'paused') throw new Refusal('conflict', 'the discussion is paused already');
      return [{ type: 'DiscussionPaused', data: { reason: 'requested' } }];
    case 'resume':
      if (state.status === 'open') throw new Refusal('conflict', 'the discussion is open already');
      return [{ type: 'DiscussionResumed', data: {} }];
    case 'conclude':
      return [
        ...endOpenTurn(state),
        {
          type: 'DiscussionConcluded',
          data: { reason: 'requested', ...(command.detail === undefined ? {} : { detail: command.detail }) },
        },
      ];
    case 'expire':
      if (!deadlinePassed(state, ctx.nowMs)) throw new Refusal('conflict', 'the deadline has not passed');
      return [...endOpenTurn(state), { type: 'DiscussionConcluded', data: { reason: 'deadline' } }];
    case 'change':
      return change(state, command, ctx);
    default:
      return decideTurn(state, command, ctx);
  }
}

function open(command: Extract<DiscussionCommand, { kind: 'open' }>, ctx: Deciding): DiscussionEvent[] {
  const { projectId, nonce, title, topic, contextText, policy, limits, priority } = command;
  if (command.participants.length > MAX_PARTICIPANTS)
    throw new Refusal('invalid', `at most ${MAX_PARTICIPANTS} participants can join`);
  const people = command.participants.flatMap((each) => (each.kind === 'person' ? [each.userId] : []));
  if (new Set(people).size < people.length) throw new Refusal('invalid', 'a person can take part only once');
  checkDeadline(limits.deadline, ctx);
  const context = contextText === undefined ? {} : { text: contextText };
  const events: DiscussionEvent[] = [
    { type: 'DiscussionOpened', data: { projectId, nonce, title, topic, context, policy, limits, priority } },
  ];
  const names: string[] = [];
  for (const [i, newcomer] of command.participants.entries()) {
    const name = uniqueName(newcomer.name, names);
    names.push(name);
    events.push({
      type: 'ParticipantJoined',
      data: { ...newcomer, name, participantId: ctx.newId(`participant:${i}`) },
    });
  }
  if (!command.autostart) events.push({ type: 'DiscussionPaused', data: { reason: 'not-started' } });
  return events;
}

function join(state: ExistingDiscussion, newcomer: Newcomer, ctx: Deciding): DiscussionEvent[] {
  if (state.participants.length >= MAX_PARTICIPANTS)
    throw new Refusal('conflict', `at most ${MAX_PARTICIPANTS} participants can join`);
  if (newcomer.kind === 'person' && present(state).some((each) => each.userId === newcomer.userId))
    throw new Refusal('conflict', 'this person takes part already');
  // Whoever comes back has the name they had; anybody else of that name gets a number.
  const others = state.participants.filter((each) => !(each.left && sameIdentity(each, newcomer)));
  const name = uniqueName(
    newcomer.name,
    others.map((each) => each.name),
  );
  return [{ type: 'ParticipantJoined', data: { ...newcomer, name, participantId: ctx.newId('participant:0') } }];
}

function sameIdentity(one: Newcomer, other: Newcomer): boolean {
  return one.userId === undefined ? one.agentId === other.agentId : one.userId === other.userId;
}

/** @name must mean one participant: a second Ada joins as "Ada 2". */
function uniqueName(name: string, taken: readonly string[]): string {
  const lower = new Set(taken.map((each) => each.toLowerCase()));
  if (!lower.has(name.toLowerCase())) return name;
  let n = 2;
  // By code points: half a surrogate pair could not be written.
  const stem = [...name].reduce((kept, each) => (kept.length + each.length <= 58 ? kept + each : kept), '');
  while (lower.has(`${stem} ${n}`.toLowerCase())) n += 1;
  return `${stem} ${n}`;
}

function leave(state: ExistingDiscussion, participantId: string): DiscussionEvent[] {
  if (!present(state).some((each) => each.participantId === participantId))
    throw new Refusal('not-found', 'there is no such participant');
  const left: DiscussionEvent = { type: 'ParticipantLeft', data: { participantId } };
  if (state.turn?.participantId !== participantId) return [left];
  return [{ type: 'TurnCancelled', data: { turnId: state.turn.turnId, reason: 'left' } }, left];
}

function post(
  state: ExistingDiscussion,
  command: Extract<DiscussionCommand, { kind: 'post' }>,
  ctx: Deciding,
): DiscussionEvent[] {
  const { author, content, replyTo, turnId } = command;
  const reply = replyTo === undefined ? {} : { replyTo };
  if (turnId !== undefined) return [...answer(state, { ...command, turnId }, ctx), ...stopPhraseEnd(state, content)];
  const participant = present(state).find((each) => each.userId === author.userId);
  const by =
    participant === undefined
      ? author
      : { userId: author.userId, name: participant.name, participantId: participant.participantId };
  return [
    { type: 'MessagePosted', data: { messageId: ctx.newId('message'), author: by, content, ...reply } },
    ...endIfStopped(state, content),
  ];
}

function answer(
  state: ExistingDiscussion,
  command: Extract<DiscussionCommand, { kind: 'post' }> & { turnId: string },
  ctx: Deciding,
): DiscussionEvent[] {
  const turn = state.turn;
  if (turn?.turnId !== command.turnId)
    throw new Refusal('conflict', 'this turn is not open; read the discussion for its current turn');
  if (turn.answeredBy !== 'participant')
    throw new Refusal('conflict', 'this turn is answered by a model, not by a message');
  const speaker = state.participants.find((each) => each.participantId === turn.participantId);
  if (speaker?.kind === 'person' && speaker.userId !== command.author.userId && !command.onBehalf)
    throw new Refusal('forbidden', 'this turn belongs to another person');
  if (turn.answerWithinMs !== null && ctx.nowMs >= turn.requestedAtMs + turn.answerWithinMs)
    throw new Refusal('conflict', 'the time to answer this turn has passed');
  const { participantId, turnId } = turn;
  const reply = command.replyTo === undefined ? {} : { replyTo: command.replyTo };
  return [
    {
      type: 'TurnCompleted',
      data: {
        turnId,
        attempt: 1,
        messageId: ctx.newId('message'),
        participantId,
        content: command.content,
        ...reply,
        model: null,
        usage: { inputTokens: 0, outputTokens: 0, source: 'reported' },
        finishReason: 'end_turn',
        timing: { firstTokenMs: null, totalMs: Math.max(0, ctx.nowMs - turn.requestedAtMs) },
      },
    },
  ];
}

function endIfStopped(state: ExistingDiscussion, content: Content): DiscussionEvent[] {
  const end = stopPhraseEnd(state, content);
  return end.length === 0 ? [] : [...endOpenTurn(state), ...end];
}

function endOpenTurn(state: ExistingDiscussion): DiscussionEvent[] {
  return state.turn === null
    ? []
    : [{ type: 'TurnCancelled', data: { turnId: state.turn.turnId, reason: 'concluded' } }];
}

function change(
  state: ExistingDiscussion,
  command: Extract<DiscussionCommand, { kind: 'change' }>,
  ctx: Deciding,
): DiscussionEvent[] {
  const events: DiscussionEvent[] = [];
  if (command.policy !== undefined) events.push({ type: 'PolicySwitched', data: { policy: command.policy } });
  if (command.limits !== undefined) {
    if (command.limits.deadline !== undefined) checkDeadline(command.limits.deadline, ctx);
    events.push({ type: 'LimitsChanged', data: { limits: { ...state.limits, ...command.limits } } });
  }
  if (events.length === 0) throw new Refusal('invalid', 'nothing to change: give policy or limits');
  return events;
}

function checkDeadline(deadline: string | null, ctx: Deciding, pointer = '/limits/deadline'): void {
  if (deadline !== null && Date.parse(deadline) <= ctx.nowMs)
    throw new Refusal('invalid', 'the deadline has passed already', {
      issues: [{ pointer, code: 'past', detail: 'must lie in the future' }],
    });
}
