import type { Knex } from 'knex';
import type { Clock, EventStore } from '../domain/ports.ts';
import { readCheckpoints } from './checkpointWatch.ts';
import type { Projection } from './projection.ts';

/** How far a read model is behind the log. */
export interface Lag {
  readonly name: string;
  /** Age of the oldest event it has not applied, by the clocks of who wrote it and of who asks; 0 when there is none. */
  readonly seconds: number;
  /** How many it has not applied; null where positions have gaps, since differences of positions then mean nothing. */
  readonly events: number | null;
}

export interface LagOptions {
  readonly knex: Knex;
  readonly store: EventStore;
  readonly clock: Clock;
  readonly projections: readonly Projection[];
  /** Whether the positions of this log have no gaps. */
  readonly gapless: boolean;
}

/** One query, one look at the head, and one event for each checkpoint that stands behind it. Rejects when these do. */
export async function projectionLag({ knex, store, clock, projections, gapless }: LagOptions): Promise<Lag[]> {
  // The checkpoints first: with the head first, they could stand ahead of it.
  const checkpoints = await readCheckpoints(knex, projections);
  const head = await store.head();
  const ages = new Map<bigint, number>();
  for (const { position } of checkpoints) {
    if (position >= head || ages.has(position)) continue;
    for await (const { metadata } of store.readAll(position, { limit: 1 }))
      ages.set(position, Math.max(0, clock.now() - Date.parse(metadata.occurredAt)) / 1000);
  }
  return checkpoints.map(({ name, position }) => ({
    name,
    seconds: ages.get(position) ?? 0,
    events: gapless ? Number(head > position ? head - position : 0n) : null,
  }));
}
