import type { Knex } from 'knex';

export const name = '004_slots';

/** Places at something limited, by who holds them. They may be lost at any time without harm: an unlogged table. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create unlogged table slots (
      name text collate "C" not null,
      holder text collate "C" not null,
      lease_ms int not null,
      ends_at timestamptz not null,
      primary key (name, holder)
    ) with (fillfactor = 50)`);
  await knex.raw('create index slots_holder on slots (holder)');
  await knex.raw(takeFunction);
}

/** Takes the table away, with all it holds. */
export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop function if exists slots_take');
  await knex.raw('drop table if exists slots');
}

/**
 * Takes a place of each name for a holder, or none, and answers which.
 *
 * Exact, because whoever takes a name's place holds that name's lock until the commit, and each statement of a volatile
 * function has a new snapshot: what the last holder of the lock wrote is seen. The locks are taken in one order. The time
 * is that of the statement, not of the transaction, which may have waited for a lock.
 */
const takeFunction = `
create function slots_take(p_holder text, p_names text[], p_limits int[], p_lease_ms int) returns boolean
language plpgsql volatile as $body$
declare
  v_key int;
begin
  for v_key in select distinct hashtext(n) from unnest(p_names) n order by 1 loop
    perform pg_advisory_xact_lock(730301410, v_key);
  end loop;
  delete from slots s using (
    select name, holder from slots where name = any (p_names) and ends_at <= clock_timestamp()
    order by name, holder for update
  ) over where s.name = over.name and s.holder = over.holder;
  if exists (
    select from unnest(p_names, p_limits) as w(name, places)
    where not exists (select from slots s where s.name = w.name and s.holder = p_holder)
      and (select count(*) from slots s where s.name = w.name) >= w.places
  ) then
    return false;
  end if;
  insert into slots
  select n, p_holder, p_lease_ms, clock_timestamp() + p_lease_ms * interval '1 millisecond' from unnest(p_names) n
  on conflict (name, holder) do update set lease_ms = excluded.lease_ms, ends_at = excluded.ends_at;
  return true;
end
$body$`;
