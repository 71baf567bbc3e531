import type { Row } from './projection.ts';

/** Rows that were used last, by table and key; null stands for a row that is known not to exist. */
export interface RowCache {
  get(table: string, key: string): Row | null | undefined;
  set(table: string, key: string, row: Row | null): void;
  clear(): void;
}

/** @param capacity rows kept per table; the longest unused goes first. */
export function createRowCache(capacity: number): RowCache {
  const tables = new Map<string, Map<string, Row | null>>();
  return {
    get(table, key) {
      const rows = tables.get(table);
      const row = rows?.get(key);
      if (rows === undefined || row === undefined) return undefined;
      // A Map iterates in order of insertion: putting it in again makes it the youngest.
      rows.delete(key);
      rows.set(key, row);
      return row;
    },
    set(table, key, row) {
      let rows = tables.get(table);
      if (rows === undefined) {
        rows = new Map<string, Row | null>();
        tables.set(table, rows);
      }
      rows.delete(key);
      rows.set(key, row);
      if (rows.size <= capacity) return;
      const oldest = rows.keys().next();
      if (!oldest.done) rows.delete(oldest.value);
    },
    clear: () => tables.clear(),
  };
}
