/** The queries of the API: of the database itself, or of its replica where DATABASE_READ_URL names one. */
import type { ApiContext } from '../api/context.ts';
import type { Log } from '../domain/telemetry.ts';
import type { Settings } from '../infra/config.ts';
import type { Prometheus } from '../infra/prometheus.ts';
import { agentQueries } from '../projections/agents.ts';
import { discussionQueries } from '../projections/discussions.ts';
import { messageQueries } from '../projections/messages.ts';
import { projectionQueries } from '../projections/projectionQueries.ts';
import { turnQueries } from '../projections/turnQueries.ts';
import { usageQueries } from '../projections/usage.ts';
import { samplePool } from './measured.ts';
import { openReadReplica } from './readReplica.ts';
import { queryWatch, type Storage } from './storage.ts';

export type ApiReads = Pick<
  ApiContext,
  'agents' | 'discussions' | 'messages' | 'turns' | 'usage' | 'projections' | 'waitFor'
>;

/** @param waitFor of the database itself. */
export function openReads(
  settings: Settings,
  storage: Storage,
  waitFor: ApiContext['waitFor'],
  to: { log: Log; prometheus: Prometheus },
): { readonly reads: ApiReads; readonly close: () => Promise<void> } {
  if (settings.DATABASE_READ_URL === undefined)
    return { reads: readsOf(storage.database.knex, waitFor), close: () => Promise.resolve() };
  const replica = openReadReplica({
    connection: settings.DATABASE_READ_URL,
    poolMax: settings.DATABASE_POOL,
    applicationName: 'colloquy reads',
    watch: queryWatch(settings, to.log, to.prometheus.telemetry),
  });
  samplePool(to.prometheus, 'replica', replica.database);
  return { reads: readsOf(replica.knex, replica.waitFor), close: () => replica.close() };
}

function readsOf(knex: Storage['database']['knex'], waitFor: ApiContext['waitFor']): ApiReads {
  return {
    agents: agentQueries(knex),
    discussions: discussionQueries(knex),
    messages: messageQueries(knex),
    turns: turnQueries(knex),
    usage: usageQueries(knex),
    projections: () => projectionQueries(knex).list(),
    waitFor,
  };
}
