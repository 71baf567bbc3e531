import type { Knex } from 'knex';
import { Refusal } from '../domain/refusal.ts';
import type { Projection } from './projection.ts';
import {
  claimBuild,
  claimPrevious,
  failClaim,
  forgetVersion,
  noteOperation,
  releaseClaim,
  renewClaim,
  silent,
} from './rebuild/version.ts';
import type { Claim, ClaimOptions } from './rebuild/version.ts';

const QUERY_MS = 10_000;

/** One version of a read model. */
export interface ProjectionState {
  readonly name: string;
  readonly version: number;
  readonly position: string;
  readonly status: 'live' | 'building' | 'previous' | 'failed';
  readonly schemaVersion: number;
  readonly paused: boolean;
  /** Whether somebody works on it now. */
  readonly busy: boolean;
  /** Whether its rebuild is to go on by itself. */
  readonly wanted: boolean;
  readonly fast: boolean;
  readonly operationId: string | null;
  /** Why its rebuild failed. */
  readonly error: string | null;
  /** The event at its position, where that is known. */
  readonly event: { readonly id: string; readonly stream: string; readonly revision: number } | null;
}

/** Queries of the table that says which versions of the read models there are, and what operators do with them. */
export function projectionQueries(knex: Knex) {
  const live = ({ name, schemaVersion }: Projection) =>
    knex('projections').where({ name, schema_version: schemaVersion, status: 'live' }).timeout(QUERY_MS);
  return {
    /** Every version of every read model, by name. */
    async list(): Promise<ProjectionState[]> {
      const { rows } = await knex
        .raw<{
          rows: (ProjectionState & { event_stream: string | null; event_revision: number | null; id: string | null })[];
        }>(
          `select name, version, position::text as position, status, schema_version as "schemaVersion", paused,
             not (${silent}) as busy, wanted, fast, operation_id as "operationId", error,
             event_id as id, event_stream, event_revision
           from projections order by name, version`,
        )
        .timeout(QUERY_MS);
      return rows.map(({ id, event_stream: stream, event_revision: revision, ...state }) => ({
        ...state,
        event: id === null || stream === null || revision === null ? null : { id, stream, revision },
      }));
    },

    /** Has runners leave the live version alone, or go on with it. @throws Refusal `not-found` when there is none. */
    async setPaused(projection: Projection, paused: boolean): Promise<void> {
      // The epoch makes the runners' next write fail, so that they look.
      const changed = await live(projection)
        .where('paused', !paused)
        .update({ paused, epoch: knex.raw('epoch + 1') });
      if (changed === 0 && (await live(projection).first('name')) === undefined)
        throw new Refusal('not-found', `${projection.name} has no live version`);
    },

    /** Drops a version. @throws Refusal `not-found`, `conflict` for the live one of this program and for one in work. */
    drop: (projection: Projection, version: number): Promise<void> => forgetVersion(knex, projection, version),

    claimBuild: (projection: Projection, options: ClaimOptions): Promise<Claim> =>
      claimBuild(knex, projection, options),
    claimPrevious: (projection: Projection, options: ClaimOptions): Promise<Claim> =>
      claimPrevious(knex, projection, options),
    noteOperation: (claim: Claim, id: string): Promise<void> => noteOperation(knex, claim, id),
    renewClaim: (claim: Claim): Promise<void> => renewClaim(knex, claim),
    releaseClaim: (claim: Claim, wanted: boolean): Promise<void> => releaseClaim(knex, claim, wanted),
    failClaim: (claim: Claim, error: string): Promise<void> => failClaim(knex, claim, error),
  };
}
