import type { Knex } from 'knex';

export const name = '003_projections';

/** Checkpoints of the read models, and the streams that could not be projected. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table projections (
      name text not null,
      -- Number of the table set: a rebuild makes the next one beside it.
      version integer not null,
      -- Which columns and which fold the tables have: each program serves the one it was written for.
      schema_version integer not null,
      position bigint not null default 0,
      -- The event at that position, so that a log restored to an older state is noticed.
      event_id uuid,
      event_stream text,
      event_revision integer,
      -- Goes up when anything but the checkpoint changes (a swap, a dead letter retried): runners then load anew.
      epoch integer not null default 0,
      status text not null check (status in ('live', 'building', 'previous', 'failed')),
      updated_at timestamptz not null default now(),
      primary key (name, version)
    )`);
  await knex.raw(`create unique index projections_live on projections (name, schema_version) where status = 'live'`);
  await knex.raw(`
    create table dead_letters (
      id uuid not null unique default gen_random_uuid(),
      projection text not null,
      version integer not null,
      stream text not null,
      position bigint not null,
      event_id uuid not null,
      type text not null,
      error text not null,
      attempts integer not null default 1,
      -- Events of the stream that came after and wait behind it.
      later_events bigint not null default 0,
      first_at timestamptz not null default now(),
      last_at timestamptz not null default now(),
      primary key (projection, version, stream)
    )`);
}

/** Forgets all checkpoints; the tables of the read models stay. */
export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop table if exists dead_letters');
  await knex.raw('drop table if exists projections');
}
