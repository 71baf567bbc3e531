import type { Knex } from 'knex';

export const name = '009_deadletters';

/**
 * What operators decided about dead letters, and when leases were renewed. Skipped events are no projection: a rebuild
 * cannot find out from the log which ones to pass over, so a backup has to hold them.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table skipped_events (
      -- The letter's.
      id uuid not null unique,
      -- Whatever the version: those built later pass over the event, too.
      projection text not null,
      event_id uuid not null,
      version integer not null,
      stream text not null,
      position bigint not null,
      type text not null,
      error text not null,
      attempts integer not null,
      first_at timestamptz not null,
      reason text not null,
      skipped_by text not null,
      skipped_at timestamptz not null default now(),
      primary key (projection, event_id)
    )`);
  await knex.raw(`
    create table solved_letters (
      id uuid primary key,
      solved_by text not null,
      solved_at timestamptz not null default now()
    )`);
  // By the server's clock, for people to look at: who takes over goes by the renewals they see, never by clocks.
  await knex.raw('alter table leases add column renewed_at timestamptz not null default clock_timestamp()');
}

/** Forgets what was skipped: read models built afterwards meet those events again. */
export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table leases drop column if exists renewed_at');
  await knex.raw('drop table if exists skipped_events, solved_letters');
}
