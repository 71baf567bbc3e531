import type { Knex } from 'knex';

export const name = '005_api';

/**
 * What the API's processes share. Tickets live for seconds and counts for a minute, and may be lost: unlogged tables.
 * Operations are kept as history.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create unlogged table stream_tickets (
      hash text collate "C" primary key,
      owner text collate "C" not null,
      path text not null,
      holder text not null,
      ends_at timestamptz not null
    )`);
  await knex.raw('create index stream_tickets_owner on stream_tickets (owner)');
  await knex.raw('create index stream_tickets_ends on stream_tickets (ends_at)');
  await knex.raw(`
    create unlogged table request_counts (
      key text collate "C" primary key,
      hits bigint not null,
      ends_at timestamptz not null
    ) with (fillfactor = 50)`);
  await knex.raw('create index request_counts_ends on request_counts (ends_at)');
  await knex.raw(`
    create table operations (
      id uuid primary key,
      kind text not null,
      status text not null default 'running' check (status in ('running', 'succeeded', 'failed', 'cancelled')),
      progress jsonb not null default '{"done": 0, "total": 0, "rate": 0, "etaSeconds": null, "note": ""}',
      result jsonb not null default 'null',
      error jsonb not null default 'null',
      stop_asked boolean not null default false,
      started_at timestamptz not null default clock_timestamp(),
      alive_at timestamptz not null default clock_timestamp()
    ) with (fillfactor = 50)`);
  await knex.raw('create index operations_started on operations (started_at)');
}

/** Takes the tables away, with all they hold. */
export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop table if exists stream_tickets, request_counts, operations');
}
