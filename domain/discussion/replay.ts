/** A discussion played again from its events alone: every state, and what every prompt was made of. No model is asked. */
import { createHash } from 'node:crypto';
import { canonicalJson } from '../codec.ts';
import type { RecordedEvent } from '../envelope.ts';
import { promptMaterial, saidIn, utteranceOf, type Said } from '../prompt/material.ts';
import type { Recalled } from '../prompt/recalled.ts';
import { renderPrompt, type RenderedPrompt, type Utterance } from '../prompt/render.ts';
import type { DiscussionEvent, PromptRecord, Why } from './events.ts';
import { evolveDiscussion, placeOf } from './evolve.ts';
import type { Discussion, ExistingDiscussion, OpenTurn } from './state.ts';

/** An attempt as its claim recorded it, with what its prompt was made of; its agent's instructions and the texts it recalled are missing. */
export interface ClaimedAttempt {
  readonly turn: OpenTurn;
  readonly attempt: number;
  /** Whose instructions, at the record's `agentVersion`. */
  readonly agentId: string;
  readonly record: PromptRecord;
  readonly why: Why;
  /** The state that the claim was made on. */
  readonly before: ExistingDiscussion;
  readonly contextText: string | null;
  /** The messages of the record's window. */
  readonly transcript: readonly Utterance[];
}

export interface Replay {
  /** After the events so far. */
  readonly state: Discussion;
  /**
   * Applies the next event, in the order of the lineage.
   * @param index its place in the lineage: its revision where nothing was forked.
   * @returns the attempt that it claims; null for every other event.
   */
  next(event: RecordedEvent, index: number): ClaimedAttempt | null;
}

/** Messages remembered: more than the marks of a state, so more than any window shows. */
const MAX_SAID = 1000;

/** At the beginning of a discussion. */
export function createReplay(): Replay {
  let state: Discussion = { status: 'none' };
  let contextText: string | null = null;
  let why: Why | null = null;
  const said: Said[] = [];
  const claimed = (event: DiscussionEvent): ClaimedAttempt | null => {
    if (event.type !== 'TurnClaimed' || state.status === 'none' || why === null) return null;
    const { turnId, attempt, prompt: record } = event.data;
    const { turn } = state;
    const agentId = state.participants.find((each) => each.participantId === turn?.participantId)?.agentId;
    if (turn?.turnId !== turnId || agentId === undefined) return null;
    const before = state;
    const transcript = shown(said, record.window).map((each) => utteranceOf(each, before));
    return { turn, attempt, agentId, record, why, before, contextText, transcript };
  };
  return {
    get state() {
      return state;
    },
    next(recorded, index) {
      const event = recorded as DiscussionEvent & RecordedEvent;
      const attempt = claimed(event);
      state = evolveDiscussion(state, event, placeOf(recorded));
      if (event.type === 'DiscussionOpened') contextText = event.data.context.text ?? null;
      if (event.type === 'TurnRequested') why = event.data.why;
      const message = saidIn(event, index);
      if (message !== null && said.push(message) > MAX_SAID) said.splice(0, MAX_SAID / 2);
      return attempt;
    },
  };
}

function shown(said: readonly Said[], window: PromptRecord['window']): Said[] {
  if (window === null) return [];
  return said.filter(({ revision }) => revision >= window.from && revision <= window.to);
}

/**
 * An attempt's prompt once more, by the renderer that made it.
 * @param instructions of the agent, at the record's version.
 * @param recalled what the record's `retrieved` names, wherever in the project it was said.
 * @throws RangeError for a renderer that this program does not have.
 */
export function renderAttempt(
  attempt: ClaimedAttempt,
  instructions: string,
  recalled: readonly Recalled[],
): RenderedPrompt {
  const { before, turn, contextText, transcript, record } = attempt;
  const { sha256: _recorded, ...basis } = record;
  return renderPrompt(promptMaterial(before, turn, { contextText, transcript, recalled, instructions }), basis);
}

/** SHA-256 of a folded state as canonical JSON (RFC 8785): equal events give equal hashes, wherever and whenever they are folded. */
export function stateHash(state: Discussion): string {
  return createHash('sha256').update(canonicalJson(state)).digest('hex');
}
