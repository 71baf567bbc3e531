import type { Knex } from 'knex';

export const name = '001_log';

/**
 * The log: `events` in commit order, `streams` with the last revision of each, `log_head` with the last position.
 *
 * `data` and `metadata` are text, because jsonb reorders keys and rewrites numbers, and the bytes are what is hashed.
 * Names of streams sort by bytes ("C"): the same on every server, and cheaper than a locale.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table streams (
      stream text collate "C" primary key,
      revision bigint not null
    ) with (fillfactor = 70)`);
  // One row that every append updates: room on its page keeps the update in place, without touching the index.
  await knex.raw(`
    create table log_head (
      single boolean primary key default true check (single),
      position bigint not null default 0,
      lineage uuid not null default gen_random_uuid()
    ) with (fillfactor = 10)`);
  await knex.raw('insert into log_head default values');
  await knex.raw(`
    create table events (
      position bigint primary key,
      stream text collate "C" not null,
      revision bigint not null,
      id uuid not null constraint events_id_unique unique,
      type text not null,
      schema_version int not null,
      data text not null,
      metadata text not null,
      constraint events_stream_revision_unique unique (stream, revision)
    )`);
  await knex.raw(appendFunction);
}

/** Takes the tables away, with all they hold. */
export async function down(knex: Knex): Promise<void> {
  await knex.raw('drop function if exists log_append');
  await knex.raw('drop table if exists events, streams, log_head');
}

/**
 * Appends to different streams in one statement, so in one commit. Texts come joined by the unit separator U+001F, which
 * canonical JSON, names and types never hold unescaped: array literals would escape every quote of the JSON, which cost
 * more than the insert.
 *
 * The lock comes first and is held until the commit: so positions are handed out in the order in which they become
 * visible, and no reader can see a later event before an earlier one. Each statement of a volatile plpgsql function has a
 * new snapshot, so what the last holder of the lock wrote is seen. enable_seqscan is off because the plans are kept: one
 * made while the tables were empty would read whole tables later on.
 *
 * A notice names the position and who wrote, unless p_writer is null; it is sent by the commit.
 *
 * Answers the position of the last event written, null when none, and per append null when it was written, else the
 * stream's actual revision (-1 when there is no such stream).
 */
const appendFunction = `
create function log_append(
  p_streams text, p_expected bigint[], p_counts int[],
  p_owners int[], p_revisions bigint[], p_ids uuid[], p_types text, p_versions int[], p_data text, p_metadata text,
  p_writer text, out last_position bigint, out actual bigint[]
) language plpgsql volatile set enable_seqscan = off as $body$
declare
  v_separator constant text := E'\\x1f';
  v_streams text[] := string_to_array(p_streams, v_separator);
  v_total int := cardinality(p_ids);
  -- Taken apart before the lock is waited for: another process's or batch's commit is under way meanwhile.
  v_types text[] := case when v_total > 1 then string_to_array(p_types, v_separator) end;
  v_data text[] := case when v_total > 1 then string_to_array(p_data, v_separator) end;
  v_metadata text[] := case when v_total > 1 then string_to_array(p_metadata, v_separator) end;
  v_written int[];
begin
  perform pg_advisory_xact_lock(7303014102);
  if cardinality(v_streams) = 1 then
    if p_expected[1] = -1 then
      insert into streams values (p_streams, v_total - 1) on conflict do nothing;
    else
      update streams set revision = revision + v_total where stream = p_streams and revision = p_expected[1];
    end if;
    if not found then
      actual := array[coalesce((select revision from streams where stream = p_streams), -1)];
      return;
    end if;
    actual := array[null::bigint];
  else
    with wanted as materialized (
      select * from unnest(v_streams, p_expected, p_counts) with ordinality as t(stream, expected, count, owner)
    ), moved as (
      update streams s set revision = s.revision + w.count from wanted w
      where s.stream = w.stream and s.revision = w.expected returning s.stream
    ), made as (
      insert into streams select stream, count - 1 from wanted where expected = -1
      on conflict do nothing returning stream
    ), written as (
      select stream from moved union all select stream from made
    )
    select array_agg(case when n.stream is null then null else w.owner end order by w.owner)
    into v_written from wanted w left join written n on n.stream = w.stream;
    if array_position(v_written, null) is not null then
      select array_agg(case when v_written[o] is null then coalesce(s.revision, -1) end order by o)
      into actual from generate_subscripts(v_streams, 1) o left join streams s on s.stream = v_streams[o];
      v_total := (select count(*) from unnest(p_owners) o where v_written[o] is not null);
      if v_total = 0 then
        return;
      end if;
    else
      actual := array_fill(null::bigint, array[cardinality(v_streams)]);
      v_written := null;
    end if;
  end if;
  update log_head set position = position + v_total returning position into last_position;
  if v_total = 1 and cardinality(p_ids) = 1 then
    insert into events values (
      last_position, p_streams, p_revisions[1], p_ids[1], p_types, p_versions[1], p_data, p_metadata);
  elsif v_written is null then
    insert into events
    select last_position - v_total + e.ord, v_streams[e.owner], e.revision, e.id, e.type, e.version, e.data, e.metadata
    from unnest(p_owners, p_revisions, p_ids, v_types, p_versions, v_data, v_metadata)
      with ordinality as e(owner, revision, id, type, version, data, metadata, ord);
  else
    insert into events
    select last_position - v_total + row_number() over (order by e.ord),
      v_streams[e.owner], e.revision, e.id, e.type, e.version, e.data, e.metadata
    from unnest(p_owners, p_revisions, p_ids, v_types, p_versions, v_data, v_metadata)
      with ordinality as e(owner, revision, id, type, version, data, metadata, ord)
    where v_written[e.owner] is not null;
  end if;
  if p_writer is not null then
    perform pg_notify('colloquy_log', last_position || ' ' || p_writer);
  end if;
end
$body$`;
