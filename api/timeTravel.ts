/** `?atRevision=` and `?at=`: what a read answered when that was the last event, folded from the log, never from tables. */
import { z } from 'zod';
import { lineageOf, readParts, type LineagePart } from '../commands/lineage.ts';
import { Refusal } from '../domain/refusal.ts';
import { discussions, type DiscussionRow } from '../projections/discussions.ts';
import { createRowFold } from '../projections/fold.ts';
import { messages, type MessageRow } from '../projections/messages.ts';
import type { Projection, Row } from '../projections/projection.ts';
import { turns, type TurnRow } from '../projections/turns.ts';
import { authorizeDiscussion, awaitConsistency, type ApiContext } from './context.ts';
import { queryInteger } from './queryValues.ts';
import type { RequestContext } from './route.ts';

/** In the query of every read that can look back. */
export const momentShape = {
  /** Of the discussion's own stream, inclusive. */
  atRevision: queryInteger(0, 2 ** 48).optional(),
  /** RFC 3339: events up to the first one that is younger. */
  at: z.iso.datetime({ offset: true }).optional(),
};

export interface MomentQuery {
  readonly atRevision?: number | undefined;
  readonly at?: string | undefined;
}

/** A point in a discussion's history. */
export interface Moment {
  readonly discussionId: string;
  /** The last revision of its own stream that counts. */
  readonly revision: number;
  /** Its ancestors' parts and its own, which ends at `revision`. */
  readonly parts: readonly LineagePart[];
}

/**
 * The moment that a request asks for; null when it asks for the present. Nothing is waited for: the log has every write
 * that a Consistency-Token could name.
 * @throws Refusal `invalid` for both at once and for a time to come, `not-found` when the discussion was not there then
 * or has not come that far, or may not be read.
 */
export async function momentOf(
  ctx: ApiContext,
  request: RequestContext,
  discussionId: string,
  { atRevision, at }: MomentQuery,
): Promise<Moment | null> {
  if (atRevision === undefined && at === undefined) return null;
  if (atRevision !== undefined && at !== undefined) throw wrong('at', 'give atRevision or at, not both');
  await authorizeDiscussion(ctx, request, discussionId);
  await awaitConsistency(ctx, request, []);
  const revision =
    at === undefined
      ? await reached(ctx, discussionId, atRevision ?? 0)
      : await lastBefore(ctx, request, discussionId, Date.parse(at));
  const parts = await lineageOf(ctx.engine.store, discussionId);
  return {
    discussionId,
    revision,
    parts: parts.map((part) => (part.until === null ? { ...part, until: revision } : part)),
  };
}

async function reached(ctx: ApiContext, discussionId: string, revision: number): Promise<number> {
  const stream = `discussion-${discussionId}`;
  for await (const found of ctx.engine.store.read(stream, { from: revision, limit: 1 })) return found.revision;
  for await (const last of ctx.engine.store.read(stream, { backwards: true, limit: 1 }))
    throw new Refusal('not-found', `this discussion is at revision ${last.revision}: there is no ${revision} yet`);
  throw new Refusal('not-found', 'there is no such discussion');
}

async function lastBefore(
  ctx: ApiContext,
  request: RequestContext,
  discussionId: string,
  atMs: number,
): Promise<number> {
  if (atMs > ctx.engine.clock.now())
    throw wrong('at', 'nobody knows yet how it stands then: give a time that has passed');
  let last = -1;
  for await (const { revision, metadata } of ctx.engine.store.read(`discussion-${discussionId}`)) {
    request.signal.throwIfAborted();
    if (Date.parse(metadata.occurredAt) > atMs) break;
    last = revision;
  }
  if (last < 0) throw new Refusal('not-found', 'this discussion did not exist at that time');
  return last;
}

function wrong(name: string, detail: string): Refusal {
  return new Refusal('invalid', detail, { issues: [{ pointer: `query/${name}`, code: 'unusable', detail }] });
}

/** What GET shows of the discussion itself. */
export async function discussionThen(ctx: ApiContext, request: RequestContext, moment: Moment): Promise<DiscussionRow> {
  const [row] = await rowsThen<DiscussionRow>(ctx, request, moment.parts.slice(-1), discussions);
  if (row === undefined) throw new Refusal('internal', 'the events up to there make no discussion');
  return row;
}

/** As `byDiscussion` of a read model takes it: `after` is exclusive. */
interface Page {
  readonly after?: number;
  readonly backwards: boolean;
  readonly limit: number;
}

/** A page of what had been said by then, in order. */
export async function messagesThen(
  ctx: ApiContext,
  request: RequestContext,
  moment: Moment,
  page: Page,
): Promise<(MessageRow & { index: number })[]> {
  const offsets = new Map(moment.parts.map(({ discussionId, offset }) => [discussionId, offset]));
  const rows = await rowsThen<MessageRow>(ctx, request, moment.parts, messages);
  const placed = rows.map((row) => ({ ...row, index: (offsets.get(row.discussionId) ?? 0) + row.revision }));
  return cut(placed, (row) => row.index, page);
}

/** A page of the turns as they stood then, by number. */
export async function turnsThen(
  ctx: ApiContext,
  request: RequestContext,
  moment: Moment,
  page: Page,
): Promise<TurnRow[]> {
  const rows = await rowsThen<TurnRow>(ctx, request, moment.parts, turns);
  // A turn that was open where a discussion was forked has a row in both: the younger one's counts.
  const byId = new Map(rows.map((row) => [row.turnId, row]));
  return cut([...byId.values()], (row) => row.number, page);
}

/** One turn as it stood then. @throws Refusal `not-found` when it had not been requested. */
export async function turnThen(
  ctx: ApiContext,
  request: RequestContext,
  moment: Moment,
  turnId: string,
): Promise<TurnRow> {
  const rows = await rowsThen<TurnRow>(ctx, request, moment.parts, turns);
  const row = rows.findLast((each) => each.turnId === turnId);
  if (row === undefined) throw new Refusal('not-found', 'there was no such turn then');
  return row;
}

function cut<R>(rows: readonly R[], keyOf: (row: R) => number, { after, backwards, limit }: Page): R[] {
  const ordered = rows.toSorted((a, b) => (backwards ? keyOf(b) - keyOf(a) : keyOf(a) - keyOf(b)));
  const rest =
    after === undefined ? ordered : ordered.filter((row) => (backwards ? keyOf(row) < after : keyOf(row) > after));
  return rest.slice(0, limit);
}

/** Rows of the projection's table that bears its name, folded part by part, since read models fold streams apart. */
async function rowsThen<R extends Row>(
  ctx: ApiContext,
  { signal }: RequestContext,
  parts: readonly LineagePart[],
  projection: Projection,
): Promise<R[]> {
  const all: R[] = [];
  for (const part of parts) {
    const fold = createRowFold(projection);
    for await (const { event } of readParts(ctx.engine.store, [{ ...part, offset: 0 }])) {
      signal.throwIfAborted();
      fold.add(event);
    }
    for (const row of fold.tables.get(projection.name)?.values() ?? []) all.push(row as R);
  }
  return all;
}
