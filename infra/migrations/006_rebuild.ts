import type { Knex } from 'knex';

export const name = '006_rebuild';

/** What rebuilds and pauses of read models need to know. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table projections
      -- Runners leave it alone until it is resumed.
      add column paused boolean not null default false,
      -- Why a rebuild failed.
      add column error text,
      -- Who builds it now; silent for too long, somebody else may go on.
      add column builder uuid,
      add column builder_at timestamptz,
      -- A rebuild that is to go on when its process was lost; not one that was cancelled.
      add column wanted boolean not null default false,
      add column fast boolean not null default false,
      add column operation_id uuid`);
  await knex.raw(
    `create unique index projections_building on projections (name, schema_version) where status = 'building'`,
  );
}

/** Takes the columns away; versions under way are of no use without them. */
export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop index if exists projections_building');
  await knex.raw(`delete from projections where status = 'building'`);
  await knex.raw(`
    alter table projections drop column if exists paused, drop column if exists error, drop column if exists builder,
      drop column if exists builder_at, drop column if exists wanted, drop column if exists fast,
      drop column if exists operation_id`);
}
