/** Gauges that are read when somebody asks for the metrics. */
import type { Database } from '../infra/database.ts';
import type { Health } from '../api/systemRoutes.ts';
import type { Clock } from '../domain/ports.ts';
import type { Prometheus } from '../infra/prometheus.ts';
import { sampleLetters } from '../projections/deadLetters.ts';
import { projectionLag, type LagOptions } from '../projections/lag.ts';
import { openTurnsSummary } from '../projections/openTurnsSummary.ts';

/** @param name which database the pool leads to: `primary` or `replica`. */
export function samplePool({ sample }: Pick<Prometheus, 'sample'>, name: string, database: Database): void {
  sample('db_pool_connections', () =>
    (['idle', 'active'] as const).map((state) => ({
      value: database.stats()[state],
      labels: { database: name, state },
    })),
  );
  sample('db_pool_waiting', () => [{ value: database.stats().waiting, labels: { database: name } }]);
}

/** How far the read models are behind, asked once for both gauges. */
export function sampleLag({ sample }: Pick<Prometheus, 'sample'>, options: LagOptions): void {
  const lag = together(() => projectionLag(options));
  sample('projection_lag_seconds', async () =>
    (await lag()).map(({ name, seconds }) => ({ value: seconds, labels: { projection: name } })),
  );
  sample('projection_lag_events', async () =>
    (await lag()).flatMap(({ name, events }) =>
      events === null ? [] : [{ value: events, labels: { projection: name } }],
    ),
  );
}

/** How many turns are open and how old the oldest is, asked once for both gauges. */
export function sampleOpenTurns({ sample }: Pick<Prometheus, 'sample'>, database: Database, clock: Clock): void {
  const summary = together(() => openTurnsSummary(database.knex));
  sample('turns_open', async () => [{ value: (await summary()).count }]);
  sample('turn_oldest_open_seconds', async () => {
    const { oldestRequestedMs } = await summary();
    return [{ value: oldestRequestedMs === null ? 0 : Math.max(0, clock.now() - oldestRequestedMs) / 1000 }];
  });
}

/** How many streams wait behind dead letters, and for how long, asked once for both gauges. */
export function sampleDeadLetters({ sample }: Pick<Prometheus, 'sample'>, { knex }: Database): void {
  const letters = together(() => sampleLetters(knex));
  sample('dead_letters', async () => [{ value: (await letters()).letters }]);
  sample('dead_letter_oldest_seconds', async () => [{ value: (await letters()).oldestSeconds }]);
}

/** Whether the process answers that it is ready. */
export function sampleReadiness({ sample }: Pick<Prometheus, 'sample'>, health: Pick<Health, 'ready'>): void {
  sample('service_ready', async () => [{ value: (await health.ready()).ready ? 1 : 0 }]);
}

/** Who asks while another is answered shares the answer. */
function together<T>(ask: () => Promise<T>): () => Promise<T> {
  let asked: Promise<T> | null = null;
  return () =>
    (asked ??= ask().finally(() => {
      asked = null;
    }));
}
