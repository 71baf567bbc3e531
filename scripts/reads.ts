/** The queries of the API: of the database itself, or of its replica where DATABASE_READ_URL names one. */
import type { ApiContext } from '../api/context.ts';
import type { Log } from '../domain/telemetry.ts';
import type { Settings } from '../infra/config.ts';
import type { Prometheus } from '../infra/prometheus.ts';
import { agentQueries } from '../projections/agents.ts';
import { discussionQueries } from '../projections/discussions.ts';
import { messageQueries } from '../projections/messages.ts';
import { createPassageSearch } from '../projections/search/passageSearch.ts';
import { projectionQueries } from '../projections/projectionQueries.ts';
import { turnQueries } from '../projections/turnQueries.ts';
import { usageQueries } from '../projections/usage.ts';
import type { MeaningParts } from '../projections/vectors/versions.ts';
import { systemClock } from '../infra/system.ts';
import { samplePool } from './measured.ts';
import { openReadReplica } from './readReplica.ts';
import { queryWatch, type Storage } from './storage.ts';

export type ApiReads = Pick<
  ApiContext,
  'agents' | 'discussions' | 'messages' | 'turns' | 'usage' | 'projections' | 'search' | 'waitFor'
>;

/** @param waitFor of the database itself. */
export function openReads(
  settings: Settings,
  storage: Storage,
  waitFor: ApiContext['waitFor'],
  to: { log: Log; prometheus: Prometheus; meaning: MeaningParts },
): { readonly reads: ApiReads; readonly close: () => Promise<void> } {
  if (settings.DATABASE_READ_URL === undefined)
    return { reads: readsOf(storage.database.knex, to.meaning, waitFor), close: () => Promise.resolve() };
  const replica = openReadReplica({
    connection: settings.DATABASE_READ_URL,
    poolMax: settings.DATABASE_POOL,
    applicationName: 'colloquy reads',
    watch: queryWatch(settings, to.log, to.prometheus.telemetry),
  });
  samplePool(to.prometheus, 'replica', replica.database);
  return { reads: readsOf(replica.knex, to.meaning, replica.waitFor), close: () => replica.close() };
}

function readsOf(
  knex: Storage['database']['knex'],
  { embedder, index }: MeaningParts,
  waitFor: ApiContext['waitFor'],
): ApiReads {
  return {
    agents: agentQueries(knex),
    discussions: discussionQueries(knex),
    messages: messageQueries(knex),
    turns: turnQueries(knex),
    usage: usageQueries(knex),
    search: createPassageSearch({ knex, embedder, index, clock: systemClock }),
    projections: () => projectionQueries(knex).list(),
    waitFor,
  };
}
