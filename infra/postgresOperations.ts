/** The OperationRecords port: one row per operation, one statement per call, on the server's clock. */
import type pg from 'pg';
import { type Operation, SILENT_MS } from '../domain/operation.ts';
import type { OperationRecords } from '../domain/ports.ts';
import { runRead } from './postgresQuery.ts';

const DEADLINE_MS = 5_000;

/** Operations in the table of migration 005. Every failure is a `Refusal`; each call may be repeated. */
export function createPostgresOperations({ pool }: { pool: pg.Pool }): OperationRecords {
  const rowsOf = (text: string, values: unknown[]) =>
    runRead<OperationRow>(pool, { text, values, deadlineMs: DEADLINE_MS });
  const oneOf = async (text: string, values: unknown[]): Promise<Operation | null> => {
    const [row] = await rowsOf(text, values);
    return row === undefined ? null : asOperation(row);
  };
  return {
    begin: (id, kind, { running, kept }) => oneOf(beginSql, [id, kind, running, kept]),
    async alive(id, progress) {
      const [row] = await rowsOf(aliveSql, [id, JSON.stringify(progress)]);
      return row !== undefined && !row.stop_asked;
    },
    async end(id, { status, progress, result, error }) {
      const values = [progress, result ?? null, error].map((each) => JSON.stringify(each));
      await rowsOf(endSql, [id, status, ...values]);
    },
    get: (id) => oneOf(getSql, [id]),
    running: async () => (await rowsOf(runningSql, [])).map(asOperation),
    cancel: (id) => oneOf(cancelSql, [id]),
  };
}

interface OperationRow extends Omit<Operation, 'startedAt'> {
  readonly stop_asked: boolean;
  readonly started_at: Date;
  readonly silent: boolean;
}

const silent = `(status = 'running' and alive_at < clock_timestamp() - interval '${SILENT_MS} milliseconds')`;
const columns = `id, kind, status, progress, result, error, stop_asked, started_at, ${silent} as silent`;
const beginSql = `
with forgotten as (
  delete from operations where id in (
    select id from operations where status <> 'running' or ${silent}
    order by started_at desc offset $4::int - 1 for update skip locked
  )
)
insert into operations (id, kind) select $1, $2
where (select count(*) from operations where status = 'running' and not ${silent}) < $3::int
returning ${columns}`;
const aliveSql = `
update operations set progress = $2::jsonb, alive_at = clock_timestamp() where id = $1 and status = 'running'
returning ${columns}`;
const endSql = `
update operations set status = $2, progress = $3::jsonb, result = $4::jsonb, error = $5::jsonb
where id = $1 and status = 'running'`;
const getSql = `select ${columns} from operations where id = $1`;
const runningSql = `select ${columns} from operations where status = 'running' and not ${silent} order by started_at limit 100`;
const cancelSql = `update operations set stop_asked = stop_asked or status = 'running' where id = $1 returning ${columns}`;

function asOperation({ id, kind, status, progress, result, error, started_at, silent }: OperationRow): Operation {
  const lost = {
    code: 'unavailable',
    detail:
      'the process that ran it gave no sign of life: a rebuild goes on as another operation, start anything else again',
  };
  return {
    id,
    kind,
    status: silent ? 'failed' : status,
    progress,
    result,
    error: silent ? lost : error,
    startedAt: started_at.toISOString(),
  };
}
