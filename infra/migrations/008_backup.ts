import type { Knex } from 'knex';

export const name = '008_backup';

/** A row while a restore writes the log: nothing else may use the database until it is whole. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table log_restore (
      single boolean primary key default true check (single),
      backup text not null,
      begun_at timestamptz not null default clock_timestamp()
    )`);
}

/** Forgets that a restore was under way. */
export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop table if exists log_restore');
}
