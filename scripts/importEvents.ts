/** An export in a data folder of its own, to be looked at: verified first, and never written to again. */
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { Knex } from 'knex';
import { type ExportedEvent, exportLineSchema } from '../domain/audit/exportFormat.ts';
import { readPublicKey } from '../domain/audit/note.ts';
import { verifyExport } from '../domain/audit/verifyExport.ts';
import { Refusal } from '../domain/refusal.ts';
import { readSettings } from '../infra/config.ts';
import { createLogger } from '../infra/logging.ts';
import { CliExit } from './cli/exitCodes.ts';
import { type Imported, markImported } from './imported.ts';
import { openStorage } from './storage.ts';

export interface ImportOptions {
  /** New or empty. */
  readonly data: string;
  /** The public key that must have signed, or a file that holds it. */
  readonly key?: string;
}

const BATCH = 500;

/**
 * Positions are counted anew from 1: they are not those of the log that the events come from; all else is as it was.
 * @throws CliExit 8 when the export does not prove itself; Refusal `conflict` for a folder that holds something, `invalid`
 * when a stream does not begin with its first event.
 */
export async function importEvents(file: string, { data, key }: ImportOptions): Promise<Imported & { data: string }> {
  await stat(file).catch(() => {
    throw new Refusal('not-found', 'there is no such file');
  });
  if (existsSync(data) && (await readdir(data)).length > 0)
    throw new Refusal('conflict', 'the data folder is not empty: name a new one');
  const keys = key === undefined ? [] : [readPublicKey(existsSync(key) ? await readFile(key, 'utf8') : key)];
  const verdict = await verifyExport(linesOf(file), { keys, onEvent: requireBeginnings() });
  if (verdict.verdict !== 'ok')
    throw new CliExit(8, `nothing was imported: ${verdict.findings[0] ?? 'it is not proven'}`);
  const { origin, what, events, trusted } = verdict;
  await mkdir(data, { recursive: true, mode: 0o700 });
  try {
    await fill(file, data);
    const imported: Imported = { origin, what, events, trusted };
    await markImported(data, imported);
    return { ...imported, data };
  } catch (error) {
    await rm(data, { recursive: true, force: true });
    throw error;
  }
}

function linesOf(file: string): AsyncIterable<string> {
  return createInterface({ input: createReadStream(file), crlfDelay: Infinity });
}

/** States are folded from a stream's first event on. */
function requireBeginnings(): (event: ExportedEvent) => void {
  const begun = new Set<string>();
  return ({ stream, revision }) => {
    if (revision > 0 && !begun.has(stream))
      throw new Refusal(
        'invalid',
        `${stream} does not begin with its first event: export from position 0, or a discussion`,
      );
    begun.add(stream);
  };
}

async function fill(file: string, data: string): Promise<void> {
  // Of the folder alone: whatever servers the environment names have nothing to do with it.
  const storage = await openStorage(readSettings({ COLLOQUY_DATA: data }, {}), createLogger('error'));
  try {
    await storage.database.knex.transaction(async (transaction) => {
      let position = 0;
      let batch: Row[] = [];
      for await (const line of linesOf(file)) {
        const event = exportLineSchema.parse(JSON.parse(line));
        if (event.kind !== 'event') continue;
        position += 1;
        batch.push(rowOf(event, position));
        if (batch.length === BATCH) await insert(transaction, batch);
        if (batch.length === BATCH) batch = [];
      }
      await insert(transaction, batch);
      await transaction.raw('insert into streams select stream, max(revision) from events group by stream');
      await transaction.raw('update log_head set position = ?', [position]);
    });
  } finally {
    await storage.close();
  }
}

type Row = ReturnType<typeof rowOf>;

function rowOf(event: ExportedEvent, position: number) {
  const { stream, revision, id, type, schemaVersion: schema_version, data, metadata } = event;
  return { position, stream, revision, id, type, schema_version, data, metadata };
}

async function insert(transaction: Knex.Transaction, rows: readonly Row[]): Promise<void> {
  await transaction.raw(
    `insert into events select * from json_to_recordset(?::json) as row(
       position bigint, stream text, revision bigint, id uuid, type text, schema_version int, data text, metadata text)`,
    [JSON.stringify(rows)],
  );
}
