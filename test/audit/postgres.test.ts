/** Tampering with the log in PostgreSQL by plain SQL, as whoever administers the database can. */
import { realLog } from '../infra/postgresStores.ts';
import type { TamperableLog } from './auditedLog.ts';
import { tamperingSuite } from '../contracts/logTampering.ts';

async function tamperable(): Promise<TamperableLog> {
  const { store, database, stop } = await realLog();
  const sql = async (...statements: string[]): Promise<void> => {
    await database.knex.transaction(async (transaction) => {
      for (const statement of statements) await transaction.raw(statement);
    });
  };
  return {
    store: () => store,
    flip: (index) => sql(`update events set data = replace(data, 'event', 'evend') where position = ${index + 1}`),
    remove: (index) => sql(`delete from events where position = ${index + 1}`),
    insert: (index) =>
      sql(
        // In two steps: each position is there only once.
        `update events set position = position + 1000 where position > ${index}`,
        `update events set position = position - 999 where position > 1000`,
        `insert into events select ${index + 1}, stream, revision + 1, 'f0f0f0f0-f0f0-4f0f-8f0f-f0f0f0f0f0f0', type,
           schema_version, data, metadata from events
           where stream = (select min(stream) from events) order by revision desc limit 1`,
        `update log_head set position = position + 1`,
      ),
    swap: (a, b) =>
      sql(
        `update events set position = -1 where position = ${a + 1}`,
        `update events set position = ${a + 1} where position = ${b + 1}`,
        `update events set position = ${b + 1} where position = -1`,
      ),
    cut: (length) =>
      sql(
        `delete from events where position > ${length}`,
        `update log_head set position = ${length}`,
        `update streams s set revision = (select max(revision) from events e where e.stream = s.stream)`,
      ),
    stop,
  };
}

tamperingSuite('tampering with the log in PostgreSQL', tamperable);
