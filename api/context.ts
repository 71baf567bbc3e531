import { createHash } from 'node:crypto';
import { v5 as uuidv5 } from 'uuid';
import { discussions } from '../commands/aggregate.ts';
import type { Asked } from '../commands/dispatch.ts';
import type { Engine } from '../commands/engine.ts';
import { load } from '../commands/states.ts';
import { canonicalJson } from '../domain/codec.ts';
import { partsOf, type HistoryPart } from '../domain/discussion/lineage.ts';
import type { ModelLibrary } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Log, Telemetry } from '../domain/telemetry.ts';
import type { agentQueries } from '../projections/agents.ts';
import type { commandQueries } from '../projections/commands.ts';
import type { DeadLettersDesk } from '../projections/deadLettersDesk.ts';
import type { discussionQueries } from '../projections/discussions.ts';
import type { messageQueries } from '../projections/messages.ts';
import type { ShownSearch } from '../projections/search/passageSearch.ts';
import type { stuckTurnQueries } from '../projections/stuckTurns.ts';
import type { turnQueries } from '../projections/turnQueries.ts';
import type { usageQueries } from '../projections/usage.ts';
import type { Feed } from './feed.ts';
import type { RequestContext } from './route.ts';

/** What routes need of the outside; made once by each composition root. */
export interface ApiContext {
  readonly engine: Engine;
  readonly feed: Feed;
  readonly telemetry: Telemetry;
  readonly agents: ReturnType<typeof agentQueries>;
  readonly discussions: ReturnType<typeof discussionQueries>;
  readonly messages: ReturnType<typeof messageQueries>;
  readonly turns: ReturnType<typeof turnQueries>;
  readonly usage: ReturnType<typeof usageQueries>;
  readonly search: ShownSearch;
  /** Name, version, position and status of each read model. */
  projections(): Promise<readonly { name: string; version: number; position: string; status: string }[]>;
  /** Waits until the named read models have applied a position; false when they have not in time. */
  waitFor(
    position: bigint,
    names: readonly string[],
    options: { timeoutMs: number; signal: AbortSignal },
  ): Promise<boolean>;
  /** The models of a server that keeps some; null when none is set up. */
  readonly library: ModelLibrary | null;
  readonly letters: DeadLettersDesk;
  readonly openTurns: ReturnType<typeof stuckTurnQueries>;
  readonly traces: {
    readonly commands: ReturnType<typeof commandQueries>;
    /** Where an event of this id stands; null where the log does not find events by their id alone. */
    readonly findEvent: ((id: string) => Promise<{ stream: string; revision: number } | null>) | null;
  };
  /** How the service is; some of it of this process alone. */
  status(): Promise<{
    version: string;
    uptimeSeconds: number;
    log: { head: string; lineage: string };
    projections: readonly { name: string; seconds: number; events: number | null }[];
    turns: { open: number; stuck: number; running: number };
    deadLetters: number;
    clients: number;
  }>;
  /** What operators do that must not go unnoticed. */
  readonly log: Log;
}

/** uuidv5 namespace of command ids that come from keys. */
const KEYED = '5d0f6a52-0f6c-5ab4-9d24-6f1a4c3f4a11';

/**
 * Who asks, from a request. An Idempotency-Key becomes the commandId together with principal and route, so it works for
 * ever and never across users.
 * @param project where it is known before the stream is read (creations), else ''.
 */
export function askedOf(ctx: ApiContext, request: RequestContext & { body: unknown }, project = ''): Asked {
  const { actor, idempotencyKey, correlationId, requestId, traceparent, ifMatch, req } = request;
  const route = `${req.method} ${req.baseUrl}${req.path}`;
  const keyed = idempotencyKey !== undefined;
  return {
    actor,
    commandId: keyed
      ? uuidv5(JSON.stringify([project, `${actor.kind}:${actor.id}`, route, idempotencyKey]), KEYED)
      : ctx.engine.ids.next(),
    keyed,
    bodySha256: createHash('sha256')
      .update(canonicalJson(request.rawBody ?? null))
      .digest('hex'),
    correlationId,
    requestId,
    ...(traceparent === undefined ? {} : { traceparent }),
    ...(ifMatch === undefined ? {} : { ifRevision: ifMatch }),
  };
}

/** What a write answers, for a client to read its own write. */
export function consistencyToken(position: bigint): string {
  return `p${position}`;
}

/**
 * Waits for the read models a GET reads, when the client gave the token of a write.
 * @throws Refusal `projection-behind` after `Prefer: wait=N` (2 s by default), `invalid` for a token that is none.
 */
export async function awaitConsistency(
  ctx: ApiContext,
  request: RequestContext,
  names: readonly string[],
): Promise<void> {
  const { consistencyToken: token, preferWaitMs, signal } = request;
  if (token === undefined) return;
  if (!/^p\d{1,19}$/.test(token))
    throw new Refusal('invalid', 'Consistency-Token is not one of ours', {
      issues: [{ pointer: 'header/Consistency-Token', code: 'malformed', detail: 'send it as it was answered' }],
    });
  if (await ctx.waitFor(BigInt(token.slice(1)), names, { timeoutMs: preferWaitMs, signal })) return;
  throw new Refusal('projection-behind', 'the read model has not caught up with that write yet', {
    retryAfterMs: 1000,
  });
}

/**
 * Lets through who may do the route's action to a discussion.
 * @returns the streams that hold its history, its ancestors' before its own.
 * @throws Refusal `not-found` (also for foreign ones), `forbidden`.
 */
export async function authorizeDiscussion(
  ctx: ApiContext,
  request: RequestContext,
  id: string,
): Promise<HistoryPart[]> {
  const { state } = await load(ctx.engine, discussions, `discussion-${id}`);
  const project = discussions.projectOf(state);
  if (project === null) throw new Refusal('not-found', 'there is no such discussion');
  await request.authorize({ project, kind: 'discussion', id });
  return partsOf(id, state.status === 'none' ? [] : state.ancestors);
}

/** Projects whose lists the actor may read: null for all. A grant whose role does not allow it counts for nothing. */
export async function visibleProjects(
  ctx: ApiContext,
  { actor }: RequestContext,
  kind: string,
): Promise<readonly string[] | null> {
  const projects = [];
  for (const { project } of actor.grants)
    if (await ctx.engine.authorizer.may(actor, 'read', { project, kind })) projects.push(project);
  return projects.includes('*') ? null : projects;
}
