/** What can go wrong with a table of vectors, in the words of its port. */
import pg from 'pg';
import { Refusal } from '../domain/refusal.ts';
import { asRefusal } from './postgresQuery.ts';

const TABLE_IS_GONE = '42P01';
/** The type, a function or an operator of the extension is not there. */
const EXTENSION_IS_GONE = ['42704', '42883'];

/** What a failed statement about a version is called; none of them tells the statement or its values. */
export function vectorFault(error: unknown, version: number): Refusal {
  if (error instanceof pg.DatabaseError) {
    const code = error.code ?? '';
    if (code === TABLE_IS_GONE)
      return new Refusal('conflict', `the collection of version ${version} is gone: rebuild the embeddings`);
    if (EXTENSION_IS_GONE.includes(code)) return withoutPgvector(error);
    if (code.startsWith('22'))
      return new Refusal('invalid', 'the database cannot keep or compare what was given', { cause: error });
  }
  const refusal = asRefusal(error);
  if (refusal.code !== 'internal') return refusal;
  const says = "the database refused a statement about vectors: the database's log says why";
  return new Refusal('unavailable', says, { retryable: false, cause: error });
}

/** Only searching by meaning needs the extension; all else runs. */
export function withoutPgvector(cause?: unknown): Refusal {
  return new Refusal(
    'unavailable',
    'this PostgreSQL has no pgvector 0.8 or newer: install it (Debian: postgresql-<major>-pgvector from ' +
      'apt.postgresql.org or of Debian 13), or set WEAVIATE_URL',
    { retryable: false, cause },
  );
}
