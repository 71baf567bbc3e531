/**
 * `npm test [-- pattern…]` runs every file under test/ that ends in .test.ts and whose path matches one of the regular
 * expressions, each in its own process, on services found or started here. The last line is `N passed, N failed`; the
 * exit code says the same.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { randomBytes } from 'node:crypto';
import type { PostgresServer } from './postgresServer.ts';
import {
  describeServer,
  dropLeftovers,
  environmentWith,
  findNats,
  findPostgres,
  natsProgramForTests,
  ollamaForTests,
  type TestNats,
  underCi,
  NO_WEAVIATE,
  weaviateProgramForTests,
} from './services.ts';
import { killTestFiles, runTestFile } from './testFile.ts';

/** A guard: tests have deadlines of their own. */
const FILE_DEADLINE_MS = 480_000;
/** More at once makes files time out on small machines and gains little on large ones. */
const AT_ONCE = Math.min(4, Math.max(2, availableParallelism()));

const folder = import.meta.dirname;
const runId = randomBytes(4).toString('hex');

interface Totals {
  passed: number;
  failed: number;
  readonly failures: string[];
  readonly leftOut: string[];
}

async function main(patterns: readonly string[]): Promise<Totals> {
  const totals: Totals = { passed: 0, failed: 0, failures: [], leftOut: [] };
  const wanted = (patterns.length === 0 ? [''] : patterns).map((pattern) => new RegExp(pattern));
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts') && wanted.some((pattern) => pattern.test(`test/${file}`)))
    .sort();
  if (files.length === 0) fail(totals, `no test file matches ${patterns.join(' ')}`, '');
  const needy = files.filter((file) => mentions(join(folder, file), 'postgresForTests('));
  const postgres = needy.length === 0 ? null : await postgresOrReason();
  await saysOllama();
  say(weaviateProgramForTests() === null ? `not starting Weaviate: ${NO_WEAVIATE}` : 'starting Weaviate from PATH');
  const extra: Record<string, string> = { TEST_RUN_ID: runId };
  const nats = await readyNats(files, totals, extra);
  let ready = nats.files;
  if (typeof postgres === 'string') {
    ready = ready.filter((file) => !needy.includes(file));
    leaveOut(totals, needy, postgres);
  } else if (postgres) {
    Object.assign(extra, { TEST_DATABASE_URL: postgres.url, TEST_DATABASE_ORIGIN: postgres.origin });
  }
  try {
    await runAll(ready, environmentWith(extra), totals);
  } finally {
    await nats.server?.stop();
    if (postgres && typeof postgres !== 'string') {
      await dropLeftovers(postgres.url, runId).catch((error: unknown) => say(`leftovers: ${reasonOf(error)}`));
      await postgres.stop();
    }
  }
  return totals;
}

/** Whether the file, or what it imports from test/, contains the text. */
function mentions(file: string, text: string, seen = new Set<string>()): boolean {
  if (seen.has(file) || !file.startsWith(folder) || file === join(folder, 'services.ts')) return false;
  seen.add(file);
  // A test may hold an import of a file that is not there in a string.
  if (!existsSync(file)) return false;
  const source = readFileSync(file, 'utf8');
  if (source.includes(text)) return true;
  const imports = [...source.matchAll(/from '(\.[^']+\.ts)'/g)].map(([, path]) => resolve(dirname(file), path ?? ''));
  return imports.some((path) => mentions(path, text, seen));
}

async function postgresOrReason(): Promise<PostgresServer | string> {
  let server: PostgresServer | undefined;
  try {
    server = await findPostgres();
    say(`using ${await describeServer(server)}`);
    return server;
  } catch (error) {
    await server?.stop();
    return reasonOf(error);
  }
}

/** Starts or finds NATS for the files that need it, and leaves out those for which it cannot be had. */
async function readyNats(
  files: readonly string[],
  totals: Totals,
  extra: Record<string, string>,
): Promise<{ files: string[]; server: TestNats | null }> {
  const using = files.filter((file) => mentions(join(folder, file), 'natsForTests('));
  const starting = files.filter((file) => mentions(join(folder, file), 'natsProgramForTests('));
  let server: TestNats | null = null;
  const left = new Set<string>();
  const without = (needy: readonly string[]) => (error: unknown) => {
    leaveOut(totals, needy, reasonOf(error));
    for (const file of needy) left.add(file);
    return null;
  };
  if (using.length > 0) server = await findNats().catch(without(using));
  if (server !== null) {
    say(`using ${server.description}`);
    const origin = /\((.*)\)$/.exec(server.description)?.[1] ?? '';
    Object.assign(extra, { TEST_NATS_URL: server.url, TEST_NATS_ORIGIN: origin });
  }
  const own = starting.filter((file) => !left.has(file));
  if (own.length > 0) {
    const program = await natsProgramForTests().catch(without(own));
    if (program !== null) say(`starting NATS servers to be killed from ${program.origin}`);
  }
  return { files: files.filter((file) => !left.has(file)), server };
}

async function saysOllama(): Promise<void> {
  const ollama = await ollamaForTests().catch((error: unknown) => `does not answer: ${reasonOf(error)}`);
  if (ollama === null) say('not using a real Ollama: TEST_OLLAMA_URL is not set');
  else say(typeof ollama === 'string' ? `TEST_OLLAMA_URL ${ollama}` : `using ${ollama.description}`);
}

function leaveOut(totals: Totals, files: readonly string[], reason: string): void {
  say(`left out, ${reason}:`);
  for (const file of files) {
    if (underCi()) fail(totals, `${file} was left out`, '');
    else say(`  ${file}`);
  }
}

async function runAll(files: readonly string[], env: NodeJS.ProcessEnv, totals: Totals): Promise<void> {
  const waiting = [...files];
  const work = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const result = await runTestFile(join(folder, file), { env, deadlineMs: FILE_DEADLINE_MS });
      const took = `${(result.durationMs / 1000).toFixed(1)} s`;
      totals.passed += result.passed;
      totals.leftOut.push(...result.leftOut.map((what) => `${file}: ${what}`));
      if (result.failed === 0) {
        say(`ok    ${file}  ${result.passed} passed, ${took}`);
        continue;
      }
      const problem = result.problem === null ? '' : `: ${result.problem}`;
      totals.failed += result.failed - 1;
      fail(totals, `${file}  ${result.passed} passed, ${result.failed} failed, ${took}${problem}`, result.output);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

function fail(totals: Totals, title: string, output: string): void {
  totals.failed += 1;
  totals.failures.push(title);
  say(`FAIL  ${title}`);
  if (output !== '') say(output.replace(/^/gm, '      | '));
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    killTestFiles();
    say(`stopped by ${signal}`);
    // The server started here ends in its own exit handler.
    process.exit(1);
  });
}

const started = performance.now();
const { passed, failed, failures, leftOut } = await main(process.argv.slice(2)).catch((error: unknown): Totals => {
  say(error instanceof Error ? (error.stack ?? error.message) : String(error));
  return { passed: 0, failed: 1, failures: ['the run itself'], leftOut: [] };
});
if (leftOut.length > 0) say(`\nleft out:\n${leftOut.map((what) => `  ${what}`).join('\n')}`);
if (failures.length > 0) say(`\n${failures.map((title) => `FAIL  ${title}`).join('\n')}`);
say(`\n${((performance.now() - started) / 1000).toFixed(1)} s`);
say(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
