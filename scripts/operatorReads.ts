/** What only operators and auditors ask, of the database itself: leases and letters are not on a replica. */
import type { ApiContext } from '../api/context.ts';
import type { Log } from '../domain/telemetry.ts';
import { programVersion, type Settings } from '../infra/config.ts';
import { createEventFinder } from '../infra/postgresFindEvent.ts';
import type { Prometheus } from '../infra/prometheus.ts';
import { systemClock } from '../infra/system.ts';
import { commandQueries } from '../projections/commands.ts';
import { sampleLetters } from '../projections/deadLetters.ts';
import { deadLettersDesk } from '../projections/deadLettersDesk.ts';
import { projectionLag } from '../projections/lag.ts';
import { allProjections } from '../projections/allProjections.ts';
import { stuckTurnQueries } from '../projections/stuckTurns.ts';
import type { MeaningParts } from '../projections/vectors/versions.ts';
import type { Storage } from './storage.ts';

interface Outside {
  readonly storage: Pick<Storage, 'database' | 'store'>;
  readonly settings: Pick<Settings, 'EVENTSTORE_URL'>;
  readonly log: Log;
  readonly gauges: Pick<Prometheus, 'read'>;
  readonly meaning: MeaningParts;
}

/** The part of the routes' context that they need. */
export function operatorReads(
  outside: Outside,
): Pick<ApiContext, 'letters' | 'openTurns' | 'traces' | 'status' | 'log'> {
  const { storage, settings, log, meaning } = outside;
  const { knex, pool } = storage.database;
  return {
    letters: deadLettersDesk({ knex, store: storage.store, projections: allProjections, meaning }),
    openTurns: stuckTurnQueries(knex),
    traces: {
      commands: commandQueries(knex),
      findEvent: settings.EVENTSTORE_URL === undefined ? createEventFinder({ pool }) : null,
    },
    status: () => statusOf(outside),
    log,
  };
}

/** A turn this late counts as stuck. */
const STUCK_SECONDS = 60;

async function statusOf({ storage, settings, gauges }: Outside): ReturnType<ApiContext['status']> {
  const { knex } = storage.database;
  const { store } = storage;
  const gapless = settings.EVENTSTORE_URL === undefined;
  const gauge = async (name: 'sse_clients' | 'turns_running') =>
    (await gauges.read(name)).reduce((sum, { value }) => sum + value, 0);
  const [head, lineage, projections, turns, { letters: deadLetters }] = await Promise.all([
    store.head(),
    store.lineage(),
    projectionLag({ knex, store, clock: systemClock, projections: allProjections, gapless }),
    stuckTurnQueries(knex).count(STUCK_SECONDS),
    sampleLetters(knex),
  ]);
  return {
    version: programVersion(),
    uptimeSeconds: Math.round(process.uptime()),
    log: { head: head.toString(), lineage },
    projections,
    turns: { ...turns, running: await gauge('turns_running') },
    deadLetters,
    clients: await gauge('sse_clients'),
  };
}
