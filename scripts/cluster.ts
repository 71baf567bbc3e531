/**
 * `npm run cluster -- [--api 2] [--workers 3] [--log postgres] [--json]`: several processes on one machine over a real PostgreSQL, a real
 * nats-server and EventStoreDB (the stand-in unless EVENTSTORE_URL is set). What dies is started again at its address.
 */
import { parseArgs } from 'node:util';
import { startCluster, type Cluster } from './cluster/cluster.ts';

const MOST = 20;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      api: { type: 'string', default: '2' },
      workers: { type: 'string', default: '3' },
      log: { type: 'string', default: 'eventstoredb' },
      json: { type: 'boolean', default: false },
    },
  });
  const [apis, workers] = [count('--api', values.api), count('--workers', values.workers)];
  const { json, log } = values;
  if (log !== 'eventstoredb' && log !== 'postgres') throw new Error('--log is eventstoredb or postgres');
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve());
  });
  let introduced = false;
  const cluster = await startCluster({
    apis,
    workers,
    log,
    onProgress: (line) => console.error(line),
    onChange(name, what, pid) {
      console.error(`${name} ${what} (pid ${pid})`);
      // The first line of stdout is the introduction, whatever happens before.
      if (json && introduced) console.log(JSON.stringify({ [what]: { name, pid } }));
    },
  });
  if (json) {
    const { apis: urls, token } = cluster;
    console.log(JSON.stringify({ apis: urls, token, processes: cluster.processes() }));
  } else console.log(introduction(cluster));
  introduced = true;
  await stopped;
  console.error('stopping …');
  await cluster.stop();
  console.error('stopped');
}

function count(name: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= MOST) return value;
  throw new Error(`${name} is a whole number from 1 to ${MOST}`);
}

function introduction(cluster: Cluster): string {
  const { apis, token } = cluster;
  const [url = ''] = apis;
  return [
    ...cluster.processes().map(({ name, pid }) => `${name.padEnd(14)} pid ${pid}`),
    '',
    ...apis.map((each) => `API  ${each}/api/v1`),
    '',
    `export TOKEN=${token}`,
    `npm run smoke -- --url ${url} --token $TOKEN`,
    '',
    'Kill any of them: it is started again at its address. Ctrl-C stops them all.',
  ].join('\n');
}

await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
process.exit();
