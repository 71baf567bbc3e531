/** Any request may go to any process: tickets, operations and limits are shared through the database. */
import { randomUUID } from 'node:crypto';
import * as assert from 'uvu/assert';
import { createOperations, type Operations, type Work } from '../../api/operations.ts';
import { streamTicketRoutes } from '../../api/routes/streamTickets.ts';
import { createStreamTickets } from '../../api/streamTickets.ts';
import type { Operation } from '../../domain/operation.ts';
import type { OperationRecords } from '../../domain/ports.ts';
import { Refusal } from '../../domain/refusal.ts';
import { createPostgresOperations } from '../../infra/postgresOperations.ts';
import { createPostgresRequestCounts } from '../../infra/postgresRequestCounts.ts';
import { createPostgresTickets } from '../../infra/postgresTickets.ts';
import { systemClock, systemIds } from '../../infra/system.ts';
import { suite } from '../harness.ts';
import { realLog, type TestLog } from '../infra/postgresStores.ts';
import { problemIn, startApi, type TestApi, tokenFor } from './apiForTests.ts';
import { sampleRoutes, THING } from './sampleRoutes.ts';

const test = suite('several API processes');
const PER_WINDOW = 30;
let log: TestLog;
let apis: readonly [TestApi, TestApi];
let databases: readonly [TestLog['database'], TestLog['database']];

test.before(async () => {
  log = await realLog();
  databases = [log.database, (await log.another()).database];
  const start = (database: TestLog['database']) => {
    const tickets = createStreamTickets(createPostgresTickets(database), systemClock, systemIds);
    const routes = [...sampleRoutes({ aborted: 0 }), ...streamTicketRoutes(tickets)];
    const limits = { rate: { requests: PER_WINDOW, windowMs: 600_000 } };
    return startApi({ routes, tickets, counts: createPostgresRequestCounts(database), limits });
  };
  apis = [await start(databases[0]), await start(databases[1])];
});
test.after(async () => {
  for (const api of apis) await api.drain();
  await log.stop();
});

test('a ticket of one process opens one stream at another, and nothing more anywhere', async () => {
  const path = `/api/v1/things/${THING}/stream`;
  const { ticket } = (await (await apis[0].post('/api/v1/stream-tickets', { path })).json()) as { ticket: string };
  const open = async (api: TestApi) => {
    const leave = new AbortController();
    const answer = await fetch(`${api.url}${path}?ticket=${ticket}`, { signal: leave.signal });
    if (answer.status === 200) leave.abort();
    return answer.status;
  };
  const statuses = await Promise.all([open(apis[1]), open(apis[0]), open(apis[1]), open(apis[0])]);
  assert.equal(statuses.sort(), [200, 401, 401, 401]);
  const { rows } = await databases[0].pool.query<{ all: string }>('select json_agg(t) as all from stream_tickets t');
  assert.not.ok(JSON.stringify(rows).includes(ticket), 'only a hash is kept');
});

test('the rate limit of a principal is one for both, and its headers tell so', async () => {
  const Authorization = `Bearer ${tokenFor({ sub: randomUUID() })}`;
  const answers = [];
  for (let i = 0; i < 2 * PER_WINDOW; i += 1) {
    const api = apis[i % 2] ?? apis[0];
    answers.push(await fetch(`${api.url}/api/v1/things`, { headers: { Authorization } }));
  }
  assert.equal(
    answers.map(({ status }) => status),
    [...Array<number>(PER_WINDOW).fill(200), ...Array<number>(PER_WINDOW).fill(429)],
  );
  assert.match(answers[PER_WINDOW - 2]?.headers.get('ratelimit') ?? '', /r=1;/);
  const [refused] = answers.slice(PER_WINDOW);
  if (refused) await problemIn(refused, 429, 'rate-limited');
});

/** Looks at an operation from elsewhere until it is as wanted. */
async function seen(id: string, at: Operations, wanted: (operation: Operation) => boolean): Promise<Operation> {
  for (;;) {
    const operation = await at.get(id);
    if (operation && wanted(operation)) return operation;
    await systemClock.sleep(20);
  }
}
const until = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))));

function twoProcesses(change: (records: OperationRecords) => OperationRecords = (records) => records) {
  const [here, there] = databases.map((database) =>
    createOperations(change(createPostgresOperations(database)), systemClock, systemIds),
  );
  if (here === undefined || there === undefined) throw new Error('no processes');
  return { here, there };
}

test('work is followed and stopped from the other process', async () => {
  const { here, there } = twoProcesses();
  const work: Work = async (report, signal) => {
    report(3, 9, 'pulling');
    return await until(signal);
  };
  const { id } = await here.start('model-pull', work);
  const running = await seen(id, there, ({ progress }) => progress.done === 3);
  assert.equal([running.status, running.progress.total, running.progress.note], ['running', 9, 'pulling']);
  assert.is((await there.cancel(id))?.status, 'running');
  const ended = await seen(id, there, ({ status }) => status !== 'running');
  assert.equal([ended.status, ended.error, ended.progress.done], ['cancelled', null, 3]);
});

test('its end, its failure and the stop of its process are seen, and all may run four in all', async () => {
  const { here, there } = twoProcesses();
  const ending = async (work: Work) => seen((await here.start('work', work)).id, there, (o) => o.status !== 'running');
  const { status, result } = await ending(async () => ({ name: 'm' }));
  assert.equal([status, result], ['succeeded', { name: 'm' }]);
  assert.equal((await ending(() => Promise.reject(new Refusal('not-found', 'no such model')))).error, {
    code: 'not-found',
    detail: 'no such model',
  });
  assert.is((await ending(() => Promise.reject(new Error('secret')))).error?.code, 'internal');
  const forever: Work = (_report, signal) => until(signal);
  const begun = [here, there, here, there].map((each) => each.start('work', forever));
  const ids = (await Promise.all(begun)).map(({ id }) => id);
  await there.start('work', forever).then(
    () => assert.unreachable('a fifth'),
    (error: unknown) => assert.is(error instanceof Refusal && error.code, 'rate-limited'),
  );
  await here.stop();
  await there.stop();
  for (const id of ids) {
    const stopped = await there.get(id);
    assert.equal([stopped?.status, stopped?.error?.code], ['failed', 'unavailable']);
  }
});

test('work goes on while the database does not answer, and its end is told later', async () => {
  let away = false;
  const faulty = (records: OperationRecords): OperationRecords => ({
    ...records,
    alive: (...given) => (away ? Promise.reject(new Error('away')) : records.alive(...given)),
    end: async (...given) => {
      if (away) {
        away = false;
        throw new Error('away');
      }
      await records.end(...given);
    },
  });
  const { here, there } = twoProcesses(faulty);
  let finish: () => void = () => undefined;
  const { id } = await here.start('work', () => new Promise<void>((resolve) => (finish = resolve)));
  away = true;
  await systemClock.sleep(1_200);
  assert.is((await there.get(id))?.status, 'running');
  finish();
  assert.is((await seen(id, there, ({ status }) => status !== 'running')).status, 'succeeded');
  assert.not.ok(away, 'its end was tried while the database was away');
});

test.run();
