import { v5 as uuidv5 } from 'uuid';
import { abandonTurn } from '../commands/abandonTurn.ts';
import { discussions } from '../commands/aggregate.ts';
import { completeTurn } from '../commands/completeTurn.ts';
import type { DiscussionOutcome } from '../commands/discussionCommand.ts';
import { load, refresh, type Loaded } from '../commands/states.ts';
import { textContent } from '../domain/content.ts';
import type { Attempt } from '../domain/discussion/commands.ts';
import type { Discussion, ExistingDiscussion, OpenTurn } from '../domain/discussion/state.ts';
import type { WakeUp } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import { failureCode, inSpan, type Span } from '../domain/tracing.ts';
import type { AgentProfiles } from './agentProfiles.ts';
import { storable, type AttemptResult } from './attempt.ts';
import { beginTurnSpan, chat, within } from './chat.ts';
import { verdictOf, type Circuits } from './circuit.ts';
import { claimSurely } from './claimSurely.ts';
import { measureAttempt } from './measureAttempt.ts';
import type { NoPlace, Places } from './places.ts';
import { prepareAttempt, type Prepared } from './prepare.ts';
import { RECALL_MS } from './recall.ts';
import { attemptOf, settle, type Running } from './settle.ts';
import type { Transcripts } from './transcripts.ts';
import { askedBy, type WorkerContext } from './worker.ts';

/**
 * How a wake-up ended: `done` with the turn that the answer led to, `gone` there was nothing to do (any more), with
 * the attempt that was claimed by then, Infinity for a turn that is over, `snooze` try again after `afterMs`, `full` its model has no place.
 */
export type TurnEnd =
  | { readonly kind: 'done'; readonly next: WakeUp | null }
  | { readonly kind: 'gone'; readonly claimed: number }
  | { readonly kind: 'snooze'; readonly afterMs: number }
  | NoPlace;

export interface TurnSources {
  readonly transcripts: Transcripts;
  readonly profiles: AgentProfiles;
  /** One for all turns of the process. */
  readonly circuits: Circuits;
  readonly places: Places;
}

/** Claims in a row that met a stream that had moved: people are posting; the sweeper tries again later. */
const MAX_CLAIM_RACES = 5;

/**
 * One attempt at the open turn of a discussion: claim with a fence, model call, completion or a recorded failure.
 * @param claimed told once the claim is in the log, and given what stops the attempt.
 */
export async function runTurn(
  ctx: WorkerContext,
  from: TurnSources,
  wake: Wake,
  claimed: (running: Running) => void,
): Promise<TurnEnd> {
  let claim: Claimed | TurnEnd = { kind: 'gone', claimed: 0 };
  try {
    claim = await claimOpenTurn(ctx, from, wake);
  } finally {
    if ('kind' in claim) from.circuits.giveBack(wake.turnId);
  }
  if ('kind' in claim) return claim;
  const { running, prepared, turn, span } = claim;
  claimed(running);
  return inSpan(span, async () => {
    const result = await chat(ctx, running, prepared, span.traceparent);
    from.circuits.ended(prepared.profile.model.provider, wake.turnId, verdictOf(result, prepared.failure === null));
    measureAttempt(ctx, prepared, result);
    if (result.outcome === 'answered') return complete(ctx, from.transcripts, claim, result);
    return abandon(ctx, running, turn, result);
  });
}

type Wake = Pick<WakeUp, 'discussionId' | 'turnId' | 'revision' | 'traceparent'>;

interface Claimed {
  readonly running: Running;
  readonly prepared: Prepared;
  readonly turn: OpenTurn;
  readonly span: Span;
}

async function claimOpenTurn(ctx: WorkerContext, from: TurnSources, wake: Wake): Promise<Claimed | TurnEnd> {
  const { discussionId, turnId } = wake;
  const stream = `discussion-${discussionId}`;
  let loaded = await load(ctx.engine, discussions, stream);
  // What is cached may be behind another process's writes, and a sweeper's wake-up names no revision to compare with.
  if (loaded.revision < wake.revision || !('turnId' in claimable(loaded, turnId, ctx.engine.clock.now())))
    loaded = await refresh(ctx.engine, discussions, stream);
  const patience = { leftMs: RECALL_MS };
  for (let races = 0; races < MAX_CLAIM_RACES; races += 1) {
    const open = claimable(loaded, turnId, ctx.engine.clock.now());
    if (!('turnId' in open)) return open;
    const state = loaded.state as ExistingDiscussion;
    const prepared = await prepareAttempt(ctx, from, discussionId, state, open, patience);
    if ('kind' in prepared) return prepared;
    const noPlace = prepared.failure === null ? await from.places.take(turnId, prepared.profile.model) : null;
    if (noPlace !== null) return noPlace;
    const span = beginTurnSpan(ctx, wake, open);
    const turn = within(span, open);
    const attempt: Attempt = { turnId, attempt: turn.attempts + 1, worker: ctx.worker, incarnation: ctx.incarnation };
    try {
      const asked = askedBy(
        ctx,
        uuidv5(`claim:${attempt.attempt}:${ctx.worker}:${ctx.incarnation}`, turnId),
        turn.cause,
      );
      const command = {
        ...attempt,
        leaseMs: ctx.settings.leaseMs,
        reserved: prepared.reserved,
        prompt: prepared.record,
        ...(prepared.chain === undefined ? {} : { chain: prepared.chain }),
      };
      const outcome = await claimSurely(ctx, discussionId, command, loaded.revision, asked);
      if (outcome.events[0]?.type !== 'TurnClaimed') return { kind: 'gone', claimed: 0 };
      ctx.telemetry.observe('wakeup_to_claim_seconds', Math.max(0, ctx.engine.clock.now() - turn.dueAtMs) / 1000);
      return {
        running: {
          ...attempt,
          discussionId,
          project: state.projectId,
          fence: outcome.revision,
          abort: new AbortController(),
        },
        prepared,
        turn,
        span,
      };
    } catch (error) {
      span.end(failureCode(error));
      if (!(error instanceof Refusal) || error.code !== 'conflict') throw error;
      loaded = await refresh(ctx.engine, discussions, stream);
    }
  }
  return { kind: 'snooze', afterMs: 250 };
}

/** The open turn if this worker may try it now. */
function claimable(loaded: Loaded<Discussion>, turnId: string, nowMs: number): OpenTurn | TurnEnd {
  const { state } = loaded;
  if (state.status === 'none') return { kind: 'gone', claimed: 0 };
  if (state.turn?.turnId !== turnId) return { kind: 'gone', claimed: Infinity };
  const { claim, answeredBy } = state.turn;
  if (state.status !== 'open' || claim !== null || answeredBy !== 'model')
    return { kind: 'gone', claimed: claim?.attempt ?? 0 };
  // Only a pause between attempts is waited for: a first one that seems to lie ahead was asked for by a clock before ours.
  const pauseMs = state.turn.attempts === 0 ? 0 : state.turn.dueAtMs - nowMs;
  return pauseMs > 0 ? { kind: 'snooze', afterMs: pauseMs } : state.turn;
}

async function complete(
  ctx: WorkerContext,
  transcripts: Transcripts,
  { running, turn }: Pick<Claimed, 'running' | 'turn'>,
  result: Extract<AttemptResult, { outcome: 'answered' }>,
): Promise<TurnEnd> {
  const { text, usage, finishReason, firstTokenMs, totalMs } = result;
  const body = {
    ...attemptOf(running),
    content: textContent(text),
    usage,
    finishReason,
    timing: { firstTokenMs, totalMs },
  };
  let next: WakeUp | null = null;
  const taken = await settle(ctx, running, 'complete', turn, async (asked) => {
    const outcome = await completeTurn(ctx.engine, running.discussionId, body, asked);
    observeOwn(transcripts, outcome);
    next = nextTurn(running, outcome);
  });
  if (!taken && (await isUnsettled(ctx, running))) {
    // The turn was ended from outside while the answer came in: what it cost is known and counts all the same.
    const late = {
      ...attemptOf(running),
      reason: 'cancelled' as const,
      detail: 'the turn had ended before the answer came',
      partial: text,
      usage,
      retryable: false,
      retryAfterMs: 0,
      halveWindow: false,
    };
    await settle(ctx, running, 'abandon', turn, (asked) => abandonTurn(ctx.engine, running.discussionId, late, asked));
  }
  return { kind: 'done', next };
}

/** So that the next turn, if it runs here, need not wait for the relay nor read them. */
function observeOwn(transcripts: Transcripts, { id, events, revision, replayed }: DiscussionOutcome): void {
  if (replayed) return;
  const first = revision - events.length + 1;
  events.forEach((event, i) => transcripts.observe({ ...event, stream: `discussion-${id}`, revision: first + i }));
}

function nextTurn({ project, discussionId }: Running, { state, revision }: DiscussionOutcome): WakeUp | null {
  if (state.status !== 'open' || state.turn?.answeredBy !== 'model' || state.turn.claim !== null) return null;
  return { kind: 'turn', project, discussionId, turnId: state.turn.turnId, revision };
}

async function isUnsettled(ctx: WorkerContext, { discussionId, turnId, attempt }: Running): Promise<boolean> {
  const { state } = await refresh(ctx.engine, discussions, `discussion-${discussionId}`);
  return state.status !== 'none' && state.unsettled.some((each) => each.turnId === turnId && each.attempt === attempt);
}

async function abandon(
  ctx: WorkerContext,
  running: Running,
  turn: OpenTurn,
  result: Extract<AttemptResult, { outcome: 'failed' }>,
): Promise<TurnEnd> {
  const { failure, text, usage } = result;
  const retryAfterMs = Math.round(
    Math.max(
      failure.retryAfterMs ?? 0,
      ctx.settings.retryMs * 2 ** turn.failures * (0.75 + ctx.engine.ids.random() / 2),
    ),
  );
  const stopped = running.abort.signal.aborted ? (running.abort.signal.reason as unknown) : undefined;
  const released = stopped === 'released';
  const body = {
    ...attemptOf(running),
    reason: released ? ('lease_lost' as const) : failure.reason,
    detail: released ? 'its worker was stopped' : storable(failure.message.slice(0, 2000)),
    ...(text === '' ? {} : { partial: text }),
    usage,
    retryable: released || failure.retryable,
    retryAfterMs: released ? 0 : retryAfterMs,
    halveWindow: failure.promptTooLong,
  };
  ctx.log.warn(
    { discussionId: running.discussionId, turnId: running.turnId, attempt: running.attempt, reason: body.reason },
    `attempt ended without an answer: ${body.detail}`,
  );
  let dueAtMs = null as number | null;
  await settle(ctx, running, 'abandon', turn, async (asked) => {
    const { state } = await abandonTurn(ctx.engine, running.discussionId, body, asked);
    if (state.status !== 'none' && state.turn?.turnId === running.turnId) ({ dueAtMs } = state.turn);
  });
  if (dueAtMs === null) return { kind: 'gone', claimed: 0 };
  return { kind: 'snooze', afterMs: Math.max(0, dueAtMs - ctx.engine.clock.now()) };
}
