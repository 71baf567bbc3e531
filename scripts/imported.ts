/** Data folders whose events were imported: they are looked at, never written to. */
import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExportVerdict } from '../domain/audit/verifyExport.ts';
import type { EventStore } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';

const MARK = 'imported.json';

/** What a folder holds whose events were imported. */
export interface Imported {
  readonly origin: string | null;
  readonly what: ExportVerdict['what'];
  readonly events: number;
  /** Whether the signature was one of a key that was given. */
  readonly trusted: boolean;
}

/** Marks a data folder, for ever. */
export async function markImported(data: string, imported: Imported): Promise<void> {
  await writeFile(join(data, MARK), `${JSON.stringify(imported)}\n`);
}

/** What was imported into a data folder; null for one that is an installation's own. */
export function importedInto(data: string): Imported | null {
  const path = join(data, MARK);
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Imported) : null;
}

/** The log, to be read only. */
export function readOnly(store: EventStore): EventStore {
  return {
    ...store,
    append: () =>
      Promise.reject(
        new Refusal('conflict', 'these events were imported to be looked at: nothing can be written here', {
          retryable: false,
        }),
      ),
  };
}
