import type { Aggregate } from '../commands/aggregate.ts';
import { refresh } from '../commands/states.ts';
import { Refusal } from '../domain/refusal.ts';
import type { ApiContext } from './context.ts';
import type { RequestContext } from './route.ts';

/**
 * A read model's row, waited for when its stream began a moment ago and the read model has not seen it yet: who has just
 * created a thing can read it without a Consistency-Token.
 * @throws Refusal `not-found` when there is no such stream (or it may not be seen), `projection-behind` after the wait.
 */
export async function rowOnceSeen<R, S, E extends { type: string; data: unknown }>(
  ctx: ApiContext,
  request: RequestContext,
  aggregate: Aggregate<S, E>,
  id: string,
  read: () => Promise<R | null>,
): Promise<R> {
  const row = await read();
  if (row !== null) return row;
  const { state, position } = await refresh(ctx.engine, aggregate, `${aggregate.kind}-${id}`);
  const project = aggregate.projectOf(state);
  if (project === null) throw new Refusal('not-found', `there is no such ${aggregate.kind}`);
  await request.authorize({ project, kind: aggregate.kind, id });
  await ctx.waitFor(position, [`${aggregate.kind}s`], { timeoutMs: request.preferWaitMs, signal: request.signal });
  const later = await read();
  if (later === null)
    throw new Refusal('projection-behind', `the read model has not seen this ${aggregate.kind} yet`, {
      retryAfterMs: 1000,
    });
  return later;
}
