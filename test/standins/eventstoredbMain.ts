/**
 * The EventStoreDB stand-in as a process that can be killed and started again on the same data:
 * `node --import tsx test/standins/eventstoredbMain.ts --port N --data FILE`. Prints `{"url": …}` once it listens.
 */
import { parseArgs } from 'node:util';
import { startEventStoreStandin } from './eventstoredb.ts';

const { values } = parseArgs({ options: { port: { type: 'string', default: '0' }, data: { type: 'string' } } });
const standin = await startEventStoreStandin({
  port: Number(values.port),
  ...(values.data === undefined ? {} : { dataFile: values.data }),
});
process.stdout.write(`${JSON.stringify({ url: standin.url })}\n`);
process.once('SIGTERM', () => void standin.stop().then(() => process.exit(0)));
