/** Sums over rows that do not depend on their order: equal sums, equal rows, but for one case in 2^64. */
import type { Knex } from 'knex';
import { canonicalJson } from '../../domain/codec.ts';
import type { Row, Table } from '../projection.ts';
import { hashOf } from './source.ts';
import { columnName, decodeRow, selectList, tableName } from '../tables.ts';

const PAGE_ROWS = 1_000;
const QUERY_MS = 60_000;

/** Rows of one table, counted and summed in buckets by the hash of their key. */
export interface Sums {
  add(key: string, row: Row): void;
  /** Takes a row out that was added. */
  remove(key: string, row: Row): void;
  readonly count: number;
  /** Both halves of the sum, over all buckets. */
  readonly checksum: string;
  /** Buckets in which two tables differ. */
  differing(other: Sums): number[];
  readonly buckets: { readonly high: Uint32Array; readonly low: Uint32Array; readonly counts: Uint32Array };
}

/** @param size number of buckets. */
export function createSums(table: Table, size: number): Sums {
  const buckets = { high: new Uint32Array(size), low: new Uint32Array(size), counts: new Uint32Array(size) };
  const columns = Object.keys(table.columns);
  const total = (values: Uint32Array) => values.reduce((sum, each) => (sum + each) >>> 0, 0);
  const count = (key: string, row: Row, sign: 1 | -1): void => {
    const bucket = hashOf(key) % size;
    const { high, low } = hash64(textOf(columns, row));
    buckets.high[bucket] = (buckets.high[bucket] ?? 0) + sign * high;
    buckets.low[bucket] = (buckets.low[bucket] ?? 0) + sign * low;
    buckets.counts[bucket] = (buckets.counts[bucket] ?? 0) + sign;
  };
  return {
    buckets,
    add: (key, row) => count(key, row, 1),
    remove: (key, row) => count(key, row, -1),
    get count() {
      return buckets.counts.reduce((sum, each) => sum + each, 0);
    },
    get checksum() {
      return [buckets.high, buckets.low].map((half) => total(half).toString(16).padStart(8, '0')).join('');
    },
    differing({ buckets: other }) {
      const found = [];
      for (let i = 0; i < size; i += 1)
        if (
          buckets.high[i] !== other.high[i] ||
          buckets.low[i] !== other.low[i] ||
          buckets.counts[i] !== other.counts[i]
        )
          found.push(i);
      return found;
    },
  };
}

/** Whether two rows hold the same. */
export function sameRow(table: Table, one: Row, other: Row): boolean {
  const columns = Object.keys(table.columns);
  return textOf(columns, one) === textOf(columns, other);
}

function textOf(columns: readonly string[], row: Row): string {
  let text = '';
  for (const column of columns) text += cellText(row[column] ?? null);
  return text;
}

/** Texts with their length, so that no two rows have the same. */
function cellText(value: unknown): string {
  return typeof value === 'string' ? `${value.length}"${value}` : `${canonicalJson(value)}\n`;
}

/** Two independent 32-bit hashes of a text (cyrb53 by bryc, public domain, without the cut to 53 bits). */
function hash64(text: string): { high: number; low: number } {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    high = Math.imul(high ^ code, 2654435761);
    low = Math.imul(low ^ code, 1597334677);
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  return { high: high >>> 0, low: low >>> 0 };
}

/** Every row of one version's table, in pages by key; the next one is read while one is looked at. */
export async function* rowPages(knex: Knex, table: Table, version: number): AsyncGenerator<Row[]> {
  let next = pageBehind(knex, table, version, null);
  for (;;) {
    const found = await next;
    const last = found.at(-1);
    const isLast = last === undefined || found.length < PAGE_ROWS;
    if (!isLast) {
      next = pageBehind(knex, table, version, String(last[table.key]));
      // Told to whoever asks for that page.
      next.catch(() => undefined);
    }
    yield found.map((raw) => decodeRow(table, raw));
    if (isLast) return;
  }
}

async function pageBehind(
  knex: Knex,
  table: Table,
  version: number,
  after: string | null,
): Promise<Record<string, unknown>[]> {
  const key = columnName(table.key);
  const { rows } = await knex
    .raw<{ rows: Record<string, unknown>[] }>(
      `select ${selectList(table)} from ${tableName(table, version)}
       ${after === null ? '' : `where ${key} > ?`} order by ${key} limit ${PAGE_ROWS}`,
      after === null ? [] : [after],
    )
    .options({ query_timeout: QUERY_MS });
  return rows;
}
