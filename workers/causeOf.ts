import { discussions } from '../commands/aggregate.ts';
import { refresh } from '../commands/states.ts';
import { placeOf } from '../domain/discussion/evolve.ts';
import type { Cause } from '../domain/discussion/state.ts';
import type { WorkerContext } from './worker.ts';

/** The event at a revision of a discussion, as the cause of what a worker does about it; null when there is none. */
export async function causeAt(
  { engine }: Pick<WorkerContext, 'engine'>,
  discussionId: string,
  revision: number,
): Promise<Cause | null> {
  for await (const event of engine.store.read(`discussion-${discussionId}`, { from: revision, limit: 1 }))
    return placeOf(event).cause ?? null;
  return null;
}

/** The event that requested a discussion's open turn; null when another turn, or none, is open. */
export async function causeOfTurn(
  { engine }: Pick<WorkerContext, 'engine'>,
  discussionId: string,
  turnId: string,
): Promise<Cause | null> {
  const { state } = await refresh(engine, discussions, `discussion-${discussionId}`);
  return state.status !== 'none' && state.turn?.turnId === turnId ? state.turn.cause : null;
}
