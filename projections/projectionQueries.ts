import type { Knex } from 'knex';

export interface ProjectionState {
  readonly name: string;
  readonly version: number;
  readonly position: string;
  readonly status: string;
}

/** Queries of the table that says which versions of the read models there are. */
export function projectionQueries(knex: Knex) {
  return {
    /** Every version of every read model, by name. */
    async list(): Promise<ProjectionState[]> {
      return knex('projections')
        .select<ProjectionState[]>('name', 'version', knex.raw('position::text as position'), 'status')
        .orderBy(['name', 'version']);
    },
  };
}
