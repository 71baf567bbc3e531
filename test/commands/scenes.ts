/** Agents and discussions to ask commands of. */
import { openDiscussion, openDiscussionSchema } from '../../commands/openDiscussion.ts';
import { claimTurn, type ClaimTurn } from '../../commands/claimTurn.ts';
import type { CompleteTurn } from '../../commands/completeTurn.ts';
import { currentTurn, existing, type DiscussionOutcome } from '../../commands/discussionCommand.ts';
import type { Engine } from '../../commands/engine.ts';
import { registerAgent, registerAgentSchema } from '../../commands/registerAgent.ts';
import type { AbandonTurn } from '../../commands/abandonTurn.ts';
import { textContent } from '../../domain/content.ts';
import { promptRecord } from '../domain/given.ts';
import { asked, worker } from './engineForTests.ts';

/** A registered agent's id. */
export async function anAgent(engine: Engine, name = 'Ada', projectId = 'default'): Promise<string> {
  const model = { provider: 'offline', name: 'offline' };
  const body = registerAgentSchema.parse({ name, instructions: 'Be brief.', model, projectId });
  return (await registerAgent(engine, body, asked())).id;
}

/** The body of a request for a discussion of one agent and Grace, unless told otherwise. */
export async function discussionBody(engine: Engine, more: object = {}) {
  const participants = [{ agentId: await anAgent(engine) }, { userId: 'grace' }];
  return openDiscussionSchema.parse({ title: 'Tea', topic: 'Tea or coffee?', participants, ...more });
}

/** An open discussion. */
export async function aDiscussion(engine: Engine, more: object = {}): Promise<DiscussionOutcome> {
  return openDiscussion(engine, await discussionBody(engine, more), asked());
}

/** The id of its open turn. */
export function turnOf(outcome: DiscussionOutcome): string {
  const turn = currentTurn(outcome.state);
  if (turn === null) throw new Error('no turn is open');
  return turn.turnId;
}

/** Its n-th participant's id. */
export function participantOf(outcome: DiscussionOutcome, index: number): string {
  const found = existing(outcome.state).participants[index];
  if (found === undefined) throw new Error(`there is no participant ${index}`);
  return found.participantId;
}

const by = { worker: 'w1', incarnation: 'i1' };

/** A claim of its open turn. */
export function claimOf(outcome: DiscussionOutcome, more: Partial<ClaimTurn> = {}): ClaimTurn {
  const prompt = { ...promptRecord, messageChars: 100_000 };
  return { turnId: turnOf(outcome), attempt: 1, ...by, leaseMs: 15_000, reserved: 500, prompt, ...more };
}

/** An open discussion whose first turn a worker has claimed. */
export async function aClaimedDiscussion(engine: Engine): Promise<DiscussionOutcome> {
  const opened = await aDiscussion(engine);
  return claimTurn(engine, opened.id, claimOf(opened), opened.revision, asked({ actor: worker }));
}

const usage = { inputTokens: 100, outputTokens: 20, source: 'reported' } as const;

/** The current attempt's answer. */
export function answerOf(outcome: DiscussionOutcome): CompleteTurn {
  const said = { content: textContent('Tea.'), usage, finishReason: 'end_turn' as const };
  return { turnId: turnOf(outcome), attempt: 1, ...by, ...said, timing: { firstTokenMs: 5, totalMs: 10 } };
}

/** The current attempt given up. */
export function giveUpOf(outcome: DiscussionOutcome): AbandonTurn {
  const why = { reason: 'error' as const, detail: 'the model broke off', usage };
  const again = { retryable: true, retryAfterMs: 1000, halveWindow: false };
  return { turnId: turnOf(outcome), attempt: 1, ...by, ...why, ...again };
}
