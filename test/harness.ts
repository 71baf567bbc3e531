/**
 * uvu with what it lacks: a deadline for every test and hook, hooks whose failure fails the run, and an end of the
 * process that is reported when something is left open. Seen with plain uvu 0.5.6: a `before` that throws passes with
 * zero tests run, a promise that never settles ends the process without a name, an open socket hangs it for ever; and a file
 * that waits for something between two suites has the second run twice, beside the first.
 */
import { inspect } from 'node:util';
import { underUvuCommand } from './uvuDeferred.ts';
import { exec, suite as uvuSuite } from 'uvu';

const TEST_DEADLINE_MS = 10_000;
const HOOK_DEADLINE_MS = 60_000;
/** How long sockets and timers may take to close after the last test. */
const OPEN_HANDLE_GRACE_MS = 3_000;

type Step = () => unknown;

interface Hook {
  (step: Step): void;
  each(step: Step): void;
}

export interface Suite {
  (name: string, body: Step, options?: { deadlineMs?: number }): void;
  before: Hook;
  after: Hook;
  /** Queues the suite; a suite without it fails the process at exit. */
  run(): void;
}

interface Case {
  readonly name: string;
  readonly body: Step;
  readonly deadlineMs: number;
}

interface Hooks {
  readonly before: Step[];
  readonly beforeEach: Step[];
  readonly after: Step[];
  readonly afterEach: Step[];
}

const neverRun = new Set<string>();
const waiting: { run(): void }[] = [];
let running = false;
let failedSuite = false;
let unfinishedSuites = 0;
let failedOutside = false;
let current: { readonly title: string; fail(error: Error): void } | null = null;
let openHandleTimer: NodeJS.Timeout | undefined;

/**
 * A named group of tests. `test(name, body, {deadlineMs})` adds one (10 s unless told), `test.before`, `.after`,
 * `.before.each` and `.after.each` add hooks (60 s each); finish the file with `test.run()`.
 */
export function suite(name: string): Suite {
  const cases: Case[] = [];
  const hooks: Hooks = { before: [], beforeEach: [], after: [], afterEach: [] };
  let closed = false;
  const add = (testName: string, body: Step, options: { deadlineMs?: number } = {}): void => {
    if (closed) throw new Error(`test "${testName}" was added after ${name}.run()`);
    neverRun.add(name);
    cases.push({ name: testName, body, deadlineMs: options.deadlineMs ?? TEST_DEADLINE_MS });
  };
  const run = (): void => {
    if (closed) throw new Error(`suite "${name}" was run twice`);
    if (cases.length === 0) throw new Error(`suite "${name}" has no tests`);
    closed = true;
    neverRun.delete(name);
    queue(name, cases, hooks);
  };
  return Object.assign(add, {
    before: hook(hooks.before, hooks.beforeEach),
    after: hook(hooks.after, hooks.afterEach),
    run,
  });
}

function hook(once: Step[], each: Step[]): Hook {
  return Object.assign((step: Step) => void once.push(step), { each: (step: Step) => void each.push(step) });
}

/** Hooks run inside the first and the last test, because only a test's failure makes uvu fail. */
function queue(name: string, cases: readonly Case[], hooks: Hooks): void {
  const inner = uvuSuite(name);
  let prepared: Promise<Error[]> | undefined;
  unfinishedSuites += 1;
  cases.forEach((one, index) => {
    inner(one.name, async () => {
      clearTimeout(openHandleTimer);
      const title = `${name}: ${one.name}`;
      prepared ??= steps(hooks.before, 'before hook', title);
      const errors = [...(await prepared)];
      if (errors.length === 0) errors.push(...(await runCase(one, hooks, title)));
      if (index === cases.length - 1) {
        errors.push(...(await steps(hooks.after, 'after hook', title)));
        unfinishedSuites -= 1;
        if (unfinishedSuites === 0) watchOpenHandles();
      }
      if (errors.length > 0) throw joined(errors);
    });
  });
  waiting.push(inner);
  if (underUvuCommand) inner.run();
  else if (!running) void runWaiting();
}

/** One suite after the other, each with a summary of its own; those that are queued later, too. */
async function runWaiting(): Promise<void> {
  running = true;
  // After the rest of the file, as far as it waits for nothing.
  await new Promise((resolve) => setTimeout(resolve));
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    globalThis.UVU_QUEUE = [[null]];
    next.run();
    await exec();
    failedSuite ||= Boolean(process.exitCode);
    if (failedSuite) process.exitCode = 1;
  }
  running = false;
}

async function runCase(one: Case, hooks: Hooks, title: string): Promise<Error[]> {
  const errors = await steps(hooks.beforeEach, 'before.each hook', title);
  if (errors.length === 0) {
    const error = await bounded(one.body, one.deadlineMs, title);
    if (error) errors.push(error);
  }
  errors.push(...(await steps(hooks.afterEach, 'after.each hook', title)));
  return errors;
}

async function steps(list: readonly Step[], what: string, title: string): Promise<Error[]> {
  const errors: Error[] = [];
  for (const step of list) {
    const error = await bounded(step, HOOK_DEADLINE_MS, `${title} (${what})`);
    if (!error) continue;
    error.message = `${what} failed: ${error.message}`;
    errors.push(error);
    if (what.startsWith('before')) break;
  }
  return errors;
}

/** Runs a step; the timer also keeps a process alive whose only promise never settles, so that it gets its name. */
async function bounded(step: Step, deadlineMs: number, title: string): Promise<Error | null> {
  process.send?.({ running: title });
  let timer: NodeJS.Timeout | undefined;
  const stopped = new Promise<Error>((resolve) => {
    current = { title, fail: resolve };
    timer = setTimeout(() => resolve(new Error(`"${title}" did not end within ${deadlineMs} ms`)), deadlineMs);
  });
  try {
    return await Promise.race([Promise.resolve().then(step).then(nothing, asError), stopped]);
  } finally {
    clearTimeout(timer);
    current = null;
  }
}

function nothing(): null {
  return null;
}

/** uvu's report itself breaks on a thrown value that is no Error or has no stack. */
function asError(thrown: unknown): Error {
  if (thrown instanceof Error && typeof thrown.stack === 'string') return thrown;
  return new Error(`threw ${inspect(thrown)}`);
}

function joined(errors: readonly Error[]): Error {
  const [first, ...rest] = errors;
  if (!first) return new Error('failed');
  for (const error of rest) first.message += `\n    also: ${error.message}`;
  // uvu prints the message and then the stack from its second line: a message of several lines would come twice.
  const frames = (first.stack ?? '').split('\n').filter((line) => /^ +at /.test(line));
  first.stack = [first.name, ...frames].join('\n');
  return first;
}

function watchOpenHandles(): void {
  openHandleTimer = setTimeout(() => {
    const open = process.getActiveResourcesInfo().filter((kind) => kind !== 'PipeWrap' && kind !== 'TTYWrap');
    process.stderr.write(`FAIL open handles ${OPEN_HANDLE_GRACE_MS} ms after the last test: ${open.join(', ')}\n`);
    process.exit(1);
  }, OPEN_HANDLE_GRACE_MS);
  openHandleTimer.unref();
}

if (process.send) {
  // A killed runner must not leave its test processes behind; unref, else the channel itself keeps them open.
  process.on('disconnect', () => process.exit(1));
  process.channel?.unref();
}

process.on('uncaughtException', (thrown) => {
  const error = asError(thrown);
  error.message = `uncaught: ${error.message}`;
  if (current) return current.fail(error);
  failedOutside = true;
  process.stderr.write(`FAIL outside any test: ${error.stack ?? error.message}\n`);
});

process.on('exit', () => {
  if (current) process.stderr.write(`FAIL the process ended during "${current.title}"\n`);
  for (const name of neverRun) process.stderr.write(`FAIL suite "${name}" never called .run()\n`);
  if (current || failedOutside || neverRun.size > 0) process.exitCode ||= 1;
});
