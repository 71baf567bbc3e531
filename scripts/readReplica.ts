/** A read replica for the queries of the API; what must be fresh (commands, workers, checkpoints) stays with the server. */
import type { Knex } from 'knex';
import type { ApiContext } from '../api/context.ts';
import { openDatabase, type Database, type DatabaseOptions } from '../infra/database.ts';
import { systemClock } from '../infra/system.ts';
import { watchCheckpoints } from '../projections/checkpointWatch.ts';
import { allProjections } from '../projections/allProjections.ts';

export interface ReadReplica {
  readonly knex: Knex;
  readonly database: Database;
  /** Waits until the replica has applied what the read models had written up to a position. */
  readonly waitFor: ApiContext['waitFor'];
  close(): Promise<void>;
}

/** Opens nothing yet. @param options as for the server itself, with the replica's connection. */
export function openReadReplica(options: Omit<DatabaseOptions, 'embedded'>): ReadReplica {
  const database = openDatabase({ ...options, embedded: false });
  // Checkpoints are committed with their rows, so whoever sees one there sees the rows too.
  const watch = watchCheckpoints(database.knex, systemClock, allProjections);
  return {
    knex: database.knex,
    database,
    waitFor: (...given) => watch.waitFor(...given),
    close: () => database.close(),
  };
}
