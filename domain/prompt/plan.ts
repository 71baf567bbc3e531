import { estimateTokens } from '../content.ts';
import type { AgentProfile } from '../agent/events.ts';
import { present, type ExistingDiscussion } from '../discussion/state.ts';
import type { ModelDescription, ModelParameters } from '../model.ts';
import { excerpt } from './excerpt.ts';
import { RENDERER, type PromptBasis } from './render.ts';
import { windowOf } from './window.ts';

/** What is written at most when the agent does not say, in tokens. */
const DEFAULT_OUTPUT_TOKENS = 400;
/** Rules, topic frame and the closing lines of the prompt. */
const OVERHEAD_TOKENS = 250;
/** The frame around each part of the document. */
const PART_FRAME_TOKENS = 24;
/** Agents whose instructions differ in length show the same document parts and window, so that they share what was read. */
const INSTRUCTIONS_STEP_TOKENS = 256;
/** Estimates of four characters a token are too low for some texts: the rest of the context is left free. */
const USABLE_SHARE = 0.8;

export interface PromptPlan {
  readonly basis: PromptBasis;
  /** Most tokens that the attempt can cost, prompt and answer. */
  readonly reserved: number;
  /** Most of what may be recalled, in tokens; `reserved` comes without it. */
  readonly recallTokens: number;
  /** Whether topic and instructions leave room for anything else: when not, no attempt can succeed. */
  readonly fits: boolean;
}

/**
 * What an attempt will show and send, within the model's context: part for the answer, at most 45 % for the document, the
 * rest for the transcript's window; of an agent that recalls, its share of it comes first, at most half. `windowDivisor` > 1
 * shrinks them all after a prompt that was too long.
 * @param contextText that of the DiscussionOpened (states do not carry it: it may be long).
 */
export function planPrompt(
  discussion: ExistingDiscussion,
  agent: { profile: AgentProfile; version: number },
  model: ModelDescription,
  contextText: string | null,
): PromptPlan {
  const given = agent.profile.model.parameters ?? {};
  const attempt = (discussion.turn?.attempts ?? 0) + 1;
  const contextTokens = Math.min(given.num_ctx ?? model.defaultContextTokens, model.contextTokens);
  const outputTokens = Math.min(given.num_predict ?? DEFAULT_OUTPUT_TOKENS, Math.floor(contextTokens / 2));
  const parameters: ModelParameters = {
    ...given,
    num_ctx: contextTokens,
    num_predict: outputTokens,
    ...(given.seed === undefined ? {} : { seed: (given.seed + attempt - 1) % 2_147_483_648 }),
  };
  const names = present(discussion).map((each) => each.name);
  const fixed =
    OVERHEAD_TOKENS +
    estimateTokens(discussion.topic) +
    estimateTokens(names.join(', ')) +
    Math.ceil(estimateTokens(agent.profile.instructions) / INSTRUCTIONS_STEP_TOKENS) * INSTRUCTIONS_STEP_TOKENS;
  const divisor = discussion.turn?.windowDivisor ?? 1;
  const free = Math.max(0, Math.floor(((contextTokens - outputTokens) * USABLE_SHARE - fixed) / divisor));
  const recallTokens = Math.min(agent.profile.memory?.maxTokens ?? 0, Math.floor(free / 2));
  const usable = free - recallTokens;
  const context = excerpt(contextText ?? '', discussion.topic, Math.floor(usable * 0.45) * 4);
  const documentTokens = context.reduce((sum, [from, to]) => sum + PART_FRAME_TOKENS + Math.ceil((to - from) / 4), 0);
  const windowBudget = Math.max(64, usable - documentTokens);
  const window = windowOf(discussion.marks, windowBudget);
  const messageChars = Math.floor(windowBudget / 2) * 4;
  const { name, digest } = model;
  return {
    basis: {
      renderer: RENDERER,
      window,
      context,
      messageChars,
      agentVersion: agent.version,
      model: { provider: agent.profile.model.provider, name, digest },
      parameters,
      controlTokens: [...model.controlTokens],
    },
    reserved: fixed + documentTokens + Math.min(windowBudget, windowTokens(discussion, window)) + outputTokens,
    recallTokens,
    fits: fixed <= (contextTokens - outputTokens) * USABLE_SHARE,
  };
}

function windowTokens(discussion: ExistingDiscussion, window: { from: number; to: number } | null): number {
  const first = discussion.marks.find((mark) => mark.revision === window?.from);
  const last = discussion.marks.at(-1);
  return first === undefined || last === undefined ? 0 : last.endsAt - first.startsAt;
}
