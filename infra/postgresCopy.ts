/** COPY FROM STDIN inside a transaction of knex. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Knex } from 'knex';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';

const CHUNK_CHARS = 65_536;
const COPY_MS = 120_000;

/**
 * Loads lines of the text format into a table; `into` names it with its columns. Not for the embedded database, whose
 * connection it ends. Rejects with pg's error when the server does not take a row; ends the connection after two minutes.
 */
export async function copyRows(trx: Knex, into: string, lines: Iterable<string>): Promise<void> {
  // A transaction's client answers the one connection it holds.
  const connection: unknown = await (trx.client as Knex.Client).acquireConnection();
  if (!(connection instanceof pg.Client)) throw new Error('COPY needs a connection of pg');
  const stream = connection.query(copyFrom(`copy ${into} from stdin`));
  await pipeline(Readable.from(chunksOf(lines), { objectMode: false }), stream, {
    signal: AbortSignal.timeout(COPY_MS),
  });
}

function* chunksOf(lines: Iterable<string>): Generator<Buffer> {
  let chunk = '';
  for (const line of lines) {
    chunk += line;
    if (chunk.length < CHUNK_CHARS) continue;
    yield Buffer.from(chunk);
    chunk = '';
  }
  if (chunk !== '') yield Buffer.from(chunk);
}
