/** Runs one test file in a process of its own, so that a file that hangs, crashes or leaks cannot break another. */
import { type ChildProcess, fork } from 'node:child_process';
import { stripVTControlCharacters } from 'node:util';

const OUTPUT_LIMIT_CHARS = 200_000;
/** How long the output of an ended process is waited for: a process it left behind may hold the pipe open. */
const OUTPUT_DEADLINE_MS = 1_000;

export interface FileResult {
  readonly passed: number;
  readonly failed: number;
  /** Why the file failed apart from its tests' own failures. */
  readonly problem: string | null;
  /** What the file left out, with the reason it printed: lines that begin with `left out: `. */
  readonly leftOut: readonly string[];
  /** Both streams, the end of them when there was too much. */
  readonly output: string;
  readonly durationMs: number;
}

const running = new Set<ChildProcess>();

/** Runs the file until it ends or `deadlineMs` is over, then kills what it left behind. Never rejects. */
export async function runTestFile(
  path: string,
  { env, deadlineMs }: { env: NodeJS.ProcessEnv; deadlineMs: number },
): Promise<FileResult> {
  const startedAt = performance.now();
  // Its own process group, so that servers and workers which a test started die with it.
  const child = fork(path, [], { execArgv: ['--import', 'tsx'], env, silent: true, detached: true });
  running.add(child);
  let output = '';
  let test = 'loading';
  let overdue = false;
  const collect = (chunk: string): void => void (output = (output + chunk).slice(-OUTPUT_LIMIT_CHARS));
  child.stdout?.setEncoding('utf8').on('data', collect);
  child.stderr?.setEncoding('utf8').on('data', collect);
  child.on('message', (message: { running?: unknown }) => {
    if (typeof message.running === 'string') test = `"${message.running}"`;
  });
  const timer = setTimeout(() => {
    overdue = true;
    killGroup(child);
  }, deadlineMs);
  const closed = new Promise((resolve) => child.once('close', resolve));
  const code = await new Promise<string | number>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (number, signal) => resolve(number ?? signal ?? 'unknown'));
  });
  clearTimeout(timer);
  killGroup(child);
  running.delete(child);
  await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, OUTPUT_DEADLINE_MS).unref())]);
  const problem = overdue ? `did not end within ${deadlineMs} ms, it was at ${test}` : null;
  return {
    ...judge(stripVTControlCharacters(output), code, problem),
    output,
    durationMs: performance.now() - startedAt,
  };
}

/** Ends every test process at once; for Ctrl-C. */
export function killTestFiles(): void {
  for (const child of running) killGroup(child);
}

/** A file that says nothing, tests nothing or ends badly after its summary has failed, whatever its exit code. */
function judge(output: string, code: string | number, known: string | null): Omit<FileResult, 'output' | 'durationMs'> {
  const leftOut = [...output.matchAll(/^left out: (.+)$/gm)].map((line) => line[1] ?? '');
  // A file whose suites wait for something between them has a summary for each.
  const summaries = [...output.matchAll(/^ {2}Total: +(\d+)\n {2}Passed: +(\d+)\n/gm)];
  const [summary] = summaries;
  const total = summaries.reduce((sum, [, count]) => sum + Number(count), 0);
  const passed = summaries.reduce((sum, [, , count]) => sum + Number(count), 0);
  let problem = known;
  // A file may leave itself out as a whole, but only by saying why.
  if (!summary && leftOut.length > 0 && code === 0) return { passed: 0, failed: 0, problem, leftOut };
  if (!summary) problem ??= `ended without a summary (exit ${code})`;
  else if (total === 0) problem ??= 'has no tests';
  else if (code !== 0 && passed === total) problem ??= `its tests passed, but it ended with exit ${code}`;
  return { passed, failed: total - passed + (problem === null ? 0 : 1), problem, leftOut };
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // Nobody of the group is left.
  }
}
