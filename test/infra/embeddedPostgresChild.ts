/**
 * A process for `embeddedPostgresFaults.test.ts` to kill: opens the folder given as argument, prints `open`, then writes rows on
 * four connections and prints each id once its insert is acknowledged. When it cannot open it prints `refused <why>`.
 */
import pg from 'pg';
import { startEmbeddedPostgres } from '../../infra/embeddedPostgres.ts';

const dataDir = process.argv[2];
if (!dataDir) throw new Error('usage: embeddedPostgresChild.ts <data folder>');

try {
  const database = await startEmbeddedPostgres({ dataDir, onFault: (error) => console.log(`fault ${error.message}`) });
  const pool = new pg.Pool({ ...database.connection, max: 4 });
  await pool.query('CREATE TABLE IF NOT EXISTS kept (id bigserial PRIMARY KEY, text text NOT NULL)');
  console.log('open');
  const write = async (): Promise<never> => {
    for (;;) {
      const { rows } = await pool.query<{ id: string }>('INSERT INTO kept (text) VALUES ($1) RETURNING id', [
        'x'.repeat(500),
      ]);
      console.log(rows[0]?.id);
    }
  };
  await Promise.all([write(), write(), write(), write()]);
} catch (error) {
  console.log(`refused ${error instanceof Error ? error.message : String(error)}`);
}
