/** Gauges that are read when somebody asks for the metrics. */
import type { Database } from '../infra/database.ts';
import type { Prometheus } from '../infra/prometheus.ts';
import { projectionLag, type LagOptions } from '../projections/lag.ts';

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
  let asked: ReturnType<typeof projectionLag> | null = null;
  const lag = () =>
    (asked ??= projectionLag(options).finally(() => {
      asked = null;
    }));
  sample('projection_lag_seconds', async () =>
    (await lag()).map(({ name, seconds }) => ({ value: seconds, labels: { projection: name } })),
  );
  sample('projection_lag_events', async () =>
    (await lag()).flatMap(({ name, events }) =>
      events === null ? [] : [{ value: events, labels: { projection: name } }],
    ),
  );
}
