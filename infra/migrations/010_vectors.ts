import type { Knex } from 'knex';

export const name = '010_vectors';

/** What every version of the index of vectors was made with; and dead letters behind which nothing waits. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table vector_indexes (
      -- Of the projection embeddings.
      version integer primary key,
      store text not null,
      model text not null,
      digest text,
      dimensions integer not null,
      chunker text not null,
      -- What a store that was started again had kept was looked at up to this position.
      audited bigint not null default 0,
      -- The start of the store that was looked at last.
      incarnation text
    )`);
  await knex.raw(`
    alter table dead_letters
      -- Whether later events of its stream wait behind it.
      add column parks boolean not null default true,
      drop constraint dead_letters_pkey,
      add primary key (id),
      drop constraint dead_letters_id_key`);
  await knex.raw('create unique index dead_letters_parked on dead_letters (projection, version, stream) where parks');
  await knex.raw('create unique index dead_letters_event on dead_letters (projection, version, event_id)');
}

/** Forgets what indexes were made with; letters behind which nothing waits are lost. */
export async function down(knex: Knex): Promise<void> {
  await knex.raw('delete from dead_letters where not parks');
  await knex.raw('drop index if exists dead_letters_event, dead_letters_parked');
  await knex.raw(`
    alter table dead_letters drop constraint dead_letters_pkey, add primary key (projection, version, stream),
      add constraint dead_letters_id_key unique (id), drop column parks`);
  await knex.raw('drop table if exists vector_indexes');
}
