/** Finds passages by their words, with the full text search of PostgreSQL. */
import type { Knex } from 'knex';
import type { PassageFilter, PassageHit } from '../../domain/meaning/vectorIndex.ts';
import { passages, passagesTable, passageWords } from '../passages.ts';
import type { Wanted } from './passageSearch.ts';
import { decodeRow, liveView, selectList } from '../tables.ts';

/** A search has to end on the server, too: else those that nobody waits for any more hold up all others. */
const SEARCH_MS = 5_000;
/** What of a query is read. */
const MAX_QUERY = 2_000;
/** Words of a query that are looked for, the first ones. */
const MAX_WORDS = 40;
/** Passages that are looked at for all words together, as many for each: of a word in more of them, any. */
const LOOKED_AT = 20_000;
/** Passages that are ranked exactly, at least: those with the rarest words. */
const RANKED = 500;

/** Queries of the read model `passages`. */
export function keywordQueries(knex: Knex) {
  return {
    /**
     * The passages that fit best, best first; ties by id. A query with quotes, `OR` or a leading `-` is taken as in web
     * searches, any other finds what has one of its words at least. Of nothing but stop words it finds nothing.
     * Scores are sums over the query's words, by how rare each is among what was looked at and how often the passage has it.
     * @throws what the database throws, after 5 s at most; the reason of the signal before it has begun.
     */
    async search(wanted: Wanted, options: { signal?: AbortSignal } = {}): Promise<readonly PassageHit[]> {
      options.signal?.throwIfAborted();
      const { sql, bindings } = searchStatement(wanted);
      return knex.transaction(async (trx) => {
        // A word that is in half of all passages makes reading the whole table look cheap, which it is not to be.
        await trx.raw(`set local statement_timeout = ${SEARCH_MS}; set local enable_seqscan = off`);
        options.signal?.throwIfAborted();
        const { rows } = await trx.raw<{ rows: Record<string, unknown>[] }>(sql, bindings).timeout(2 * SEARCH_MS);
        return rows.map((row) => ({ passage: decodeRow(passagesTable, row), score: Number(row['score']) }));
      });
    },
  };
}

/**
 * For each word the passages that have it, and a word more that stands for all of them together; of these passages those
 * with the rarest words; of those the best. Common words of a large log are looked up in part only, which costs little:
 * what they say is little, and passages with all of the words are looked for by themselves.
 */
function searchStatement({ query, filter, limit }: Wanted): Sql {
  const given = readable(query);
  const live = liveView(passages, passagesTable);
  const where = conditions(filter);
  // Whole phrases are compared in the rows themselves: once for each passage, not for each word of the query.
  const web = isWebQuery(given)
    ? `asked as materialized (select p.passage_id, p.words from ${live} p
         where p.words @@ websearch_to_tsquery('english', ${passageWords('?')})${where.sql} limit ${LOOKED_AT}),`
    : null;
  const from = web === null ? `${live} p where p.words @@ t.term${where.sql}` : 'asked p where p.words @@ t.term';
  return {
    sql: `with ${TERMS}, ${web ?? ''}
     pairs as materialized (
       select t.lexeme, f.passage_id from terms t cross join lateral (
         select p.passage_id from ${from} limit (select ${LOOKED_AT} / count(*) from terms)) f),
     weights as materialized (
       select lexeme, ln(1 + (select count(distinct passage_id) from pairs)::float8 / count(*)) as weight
       from pairs group by lexeme),
     best as (
       select passage_id from pairs join weights using (lexeme)
       group by passage_id order by sum(weight) desc, passage_id limit ?)
     select ${selectList(passagesTable, 'p')}, s.score
     from best join ${live} p using (passage_id) cross join lateral (
       select sum(w.weight * ts_rank(p.words, t.term, 1)) as score from terms t join weights w using (lexeme)) s
     order by s.score desc, p.passage_id limit ?`,
    bindings: [given, given, ...(web === null ? [] : [given]), ...where.bindings, Math.max(limit, RANKED), limit],
  };
}

interface Sql {
  readonly sql: string;
  readonly bindings: (string | number | string[])[];
}

/** The words of a text, given twice, and last all of them together. A lexeme is quoted as the type tsquery reads it. */
const TERMS = `
  words as materialized (
    select lexeme, ('''' || replace(replace(lexeme, '\\', '\\\\'), '''', '''''') || '''')::tsquery as term
    from unnest(to_tsvector('english', ${passageWords('?')})) order by positions[1], lexeme limit ${MAX_WORDS}),
  terms as materialized (
    select * from words
    union all
    select '', plainto_tsquery('english', ${passageWords('?')}) where (select count(*) from words) > 1)`;

/** A text as PostgreSQL can hold it, cut to what is read of a query. */
function readable(text: string): string {
  return text.slice(0, MAX_QUERY).replaceAll('\u0000', ' ').toWellFormed();
}

/** A small `or` is no sign: it stands in questions. */
function isWebQuery(query: string): boolean {
  return /"[^"]*\S[^"]*"|(?:^|\s)-[\p{L}\p{N}"]|\sOR\s/u.test(query);
}

function conditions({ projects, within, except, kinds, agentId, from, to }: PassageFilter): Sql {
  const parts: string[] = [];
  const bindings: Sql['bindings'] = [];
  const add = (sql: string, ...values: Sql['bindings']) => {
    parts.push(` and ${sql}`);
    bindings.push(...values);
  };
  if (projects !== null) add('p.project = any(?::text[])', [...projects]);
  if (within !== undefined)
    add(
      `p.discussion_id = any(?::text[]) and exists (select from json_to_recordset(?::json) as w("discussionId" text, until int)
        where w."discussionId" = p.discussion_id and (w.until is null or p.revision <= w.until))`,
      within.map(({ discussionId }) => discussionId),
      JSON.stringify(within),
    );
  if (except !== undefined && except.length > 0)
    add(
      `not exists (select from json_to_recordset(?::json) as e("discussionId" text, "from" int)
        where e."discussionId" = p.discussion_id and p.revision >= e."from")`,
      JSON.stringify(except),
    );
  if (kinds !== undefined) add('p.kind = any(?::text[])', [...kinds]);
  if (agentId !== undefined) add('p.agent_id = ?', agentId);
  if (from !== undefined) add('p.at >= ?::timestamptz', from);
  if (to !== undefined) add('p.at < ?::timestamptz', to);
  return { sql: parts.join(''), bindings };
}

/**
 * Where words of the query stand in each text, by the same stems as in a search: ranges in UTF-16 units, end exclusive, in
 * order. @throws what the database throws.
 */
export async function highlightsOf(knex: Knex, query: string, texts: readonly string[]): Promise<[number, number][][]> {
  const given = readable(query);
  const mark = unusedSign(texts);
  if (texts.length === 0 || mark === null) return texts.map(() => []);
  const { rows } = await knex
    .raw<{ rows: { marked: string | null }[] }>(
      `with ${TERMS}, any_word as (select string_agg(term::text, ' | ')::tsquery as term from words)
       select ts_headline('english', ${passageWords('t.text')}, any_word.term, ?) as marked
       from any_word, json_array_elements_text(?::json) with ordinality as t(text, place) order by t.place`,
      [given, given, `StartSel=${mark}, StopSel=${mark}, HighlightAll=true`, JSON.stringify(texts)],
    )
    .timeout(SEARCH_MS);
  return texts.map((text, i) => rangesOf(text, rows[i]?.marked ?? '', mark));
}

/** A character for private use that none of the texts has; null when there is none. */
function unusedSign(texts: readonly string[]): string | null {
  for (let code = 0xe000; code < 0xf900; code += 1) {
    const sign = String.fromCharCode(code);
    if (!texts.some((text) => text.includes(sign))) return sign;
  }
  return null;
}

/** What stands between marks, of a text that has got further spaces; none where it is another text. */
function rangesOf(text: string, marked: string, mark: string): [number, number][] {
  const ranges: [number, number][] = [];
  let at = 0;
  let begun: number | null = null;
  for (let i = 0; i < marked.length; i += 1) {
    const sign = marked[i];
    if (sign === text[at]) at += 1;
    else if (sign === mark) {
      const last = ranges.at(-1);
      if (begun === null) begun = at;
      else {
        if (last?.[1] === begun) last[1] = at;
        else ranges.push([begun, at]);
        begun = null;
      }
    } else if (sign !== ' ') return [];
  }
  return at === text.length ? ranges : [];
}
