import type { Knex } from 'knex';

export const name = '002_leases_snapshots';

/** Both may be lost at any time without harm, so neither is written ahead to the disk: unlogged tables. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create unlogged table leases (
      turn_id uuid primary key,
      worker text not null,
      fence bigint not null,
      renewals bigint not null
    ) with (fillfactor = 50)`);
  await knex.raw(`
    create unlogged table snapshots (
      stream text collate "C" primary key,
      revision bigint not null,
      event_id uuid not null,
      version int not null,
      state text not null
    ) with (fillfactor = 70)`);
}

/** Takes the tables away, with all they hold. */
export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop table if exists leases, snapshots');
}
