/** What a prompt is made of, read from a discussion's state and its messages: by the worker that asks and by whoever checks it later. */
import { textOf } from '../content.ts';
import type { DiscussionEvent } from '../discussion/events.ts';
import { present, type ExistingDiscussion, type OpenTurn } from '../discussion/state.ts';
import type { Recalled } from './recalled.ts';
import type { PromptMaterial, Utterance } from './render.ts';

/** A message of the log; its author by name, or by the participant whose name the state knows. */
export interface Said {
  /** Its event's index in the discussion's lineage, which is the revision where nothing was forked. */
  readonly revision: number;
  readonly text: string;
  readonly author: { readonly name: string } | { readonly participantId: string };
}

/** The message that an event holds; null for those that hold none. */
export function saidIn(event: DiscussionEvent, revision: number): Said | null {
  if (event.type === 'MessagePosted')
    return { revision, text: textOf(event.data.content), author: { name: event.data.author.name } };
  if (event.type === 'TurnCompleted')
    return { revision, text: textOf(event.data.content), author: { participantId: event.data.participantId } };
  return null;
}

/** A message as the renderer shows it, under the name that the state knows. */
export function utteranceOf({ revision, text, author }: Said, { participants }: ExistingDiscussion): Utterance {
  if ('name' in author) return { revision, text, author: author.name };
  const { participantId } = author;
  return {
    revision,
    text,
    author: participants.find((each) => each.participantId === participantId)?.name ?? 'somebody',
  };
}

/**
 * The material of an attempt at a turn.
 * @param state just before the attempt was claimed; its open turn is `turn`.
 * @param given what the state does not carry: the document, the messages of the window, what was recalled, the agent's
 * instructions.
 * @throws RangeError for the turn of somebody who never joined.
 */
export function promptMaterial(
  state: ExistingDiscussion,
  turn: Pick<OpenTurn, 'turnId' | 'participantId' | 'number'>,
  given: {
    contextText: string | null;
    transcript: readonly Utterance[];
    recalled: readonly Recalled[];
    instructions: string;
  },
): PromptMaterial {
  const speaker = state.participants.find((each) => each.participantId === turn.participantId);
  if (speaker === undefined) throw new RangeError(`turn ${turn.turnId} is nobody's`);
  return {
    nonce: state.nonce,
    title: state.title,
    topic: state.topic,
    contextText: given.contextText,
    participants: present(state).map((each) => each.name),
    transcript: given.transcript,
    recalled: given.recalled,
    speaker: { name: speaker.name, instructions: given.instructions },
    turnNumber: turn.number,
  };
}
