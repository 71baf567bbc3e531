/** How commands print: data on stdout (tables for people, JSON with `--json`), progress and the rest on stderr. */
import { setTimeout as delay } from 'node:timers/promises';
import { Presets, SingleBar } from 'cli-progress';
import type { Operation } from '../../domain/operation.ts';
import type { Remote } from '../remote.ts';
import { CliExit, nobodyAnswers } from './exitCodes.ts';

export interface Printing {
  readonly json?: boolean;
}

const POLL_MS = 500;
/** Between two lines where nobody looks at a terminal. */
const LINE_MS = 10_000;
const MAX_CELL = 60;

/** One value: JSON on one line, or its fields line by line. */
export function printValue(value: unknown, { json }: Printing): void {
  if (json === true || typeof value !== 'object' || value === null) return write(JSON.stringify(value));
  const fields = Object.entries(value);
  const width = Math.max(0, ...fields.map(([name]) => name.length));
  for (const [name, each] of fields) write(`${name.padEnd(width)}  ${cell(each)}`);
}

/** Rows as a table with a head, or with `--json` one JSON object a line. */
export function printRows<R extends object>(
  rows: readonly R[],
  columns: readonly (keyof R & string)[],
  { json }: Printing,
): void {
  if (json === true) return rows.forEach((row) => write(JSON.stringify(row)));
  const cells = rows.map((row) => columns.map((column) => cell(row[column]).slice(0, MAX_CELL)));
  const widths = columns.map((column, i) => Math.max(column.length, ...cells.map((row) => (row[i] ?? '').length)));
  const line = (row: readonly string[]) =>
    row
      .map((text, i) => text.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd();
  for (const row of [[...columns], ...cells]) write(line(row));
  if (rows.length === 0) console.error('none');
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return '-';
  return (typeof value === 'string' ? value : JSON.stringify(value)).replace(/\s+/g, ' ');
}

function write(line: string): void {
  process.stdout.write(`${line}\n`);
}

/**
 * Shows how far long work is until it has ended. Ctrl-C leaves it running and says how to come back; where the service
 * was opened for this command alone (`running` false) it ends the work.
 * @param options.unit what is counted, e.g. `events`. @returns the operation's result.
 * @throws CliExit when it failed or was cancelled.
 */
export async function followOperation(
  remote: Remote,
  started: Pick<Operation, 'id' | 'kind'>,
  options: { unit: string; running?: boolean },
): Promise<unknown> {
  const leave = () => {
    if (options.running === false)
      return void remote.call('DELETE', `/operations/${started.id}`).catch(() => process.exit(1));
    console.error(`\n${started.kind} goes on: colloquy operations wait ${started.id}`);
    process.exit(0);
  };
  process.on('SIGINT', leave);
  const show = process.stderr.isTTY ? showBar(options.unit) : showLines(started.kind, options.unit);
  try {
    for (; ; await delay(POLL_MS)) {
      const operation = await remote.call<Operation>('GET', `/operations/${started.id}`).catch(wentAway(started));
      show.progress(operation);
      if (operation.status !== 'running') return outcomeOf(operation);
    }
  } finally {
    show.end();
    process.off('SIGINT', leave);
  }
}

function wentAway({ kind, id }: Pick<Operation, 'id' | 'kind'>) {
  return (error: unknown): never => {
    if (!nobodyAnswers(error)) throw error;
    throw new CliExit(
      1,
      `the service went away; of ${kind} it may say more once it is back: colloquy operations wait ${id}`,
    );
  };
}

function outcomeOf({ status, error, kind, result }: Operation): unknown {
  if (status === 'succeeded') return result;
  if (status === 'cancelled') throw new CliExit(7, `${kind} was cancelled`);
  throw new CliExit(1, `${kind} failed: ${error?.detail ?? 'no reason given'}`);
}

interface Shown {
  progress(operation: Operation): void;
  end(): void;
}

function showBar(unit: string): Shown {
  const format = `{bar} {left} ${unit} behind | {rate}/s | ETA {eta} | {note}`;
  const bar = new SingleBar({ format, stream: process.stderr, clearOnComplete: false }, Presets.shades_classic);
  let begun = false;
  return {
    progress({ progress: { done, total, rate, etaSeconds, note } }) {
      if (total === 0) return;
      const shown = {
        left: left(total - done),
        rate: left(rate),
        eta: etaSeconds === null ? '-' : `${etaSeconds} s`,
        note,
      };
      if (!begun) bar.start(total, done, shown);
      begun = true;
      bar.setTotal(total);
      bar.update(done, shown);
    },
    end: () => bar.stop(),
  };
}

function showLines(kind: string, unit: string): Shown {
  let saidAt = performance.now();
  return {
    progress({ status, progress: { done, total, rate, etaSeconds, note } }) {
      if (status !== 'running' || performance.now() - saidAt < LINE_MS) return;
      saidAt = performance.now();
      const eta = etaSeconds === null ? '' : `, ETA ${etaSeconds} s`;
      console.error(
        `${kind}: ${left(total - done)} ${unit} behind, ${left(rate)}/s${eta}${note === '' ? '' : ` (${note})`}`,
      );
    },
    end: () => undefined,
  };
}

function left(count: number): string {
  return Math.max(0, Math.round(count)).toLocaleString('en');
}
