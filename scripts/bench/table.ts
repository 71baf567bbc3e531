/** The table on stdout. */
import { availableParallelism, cpus } from 'node:os';
import type { Measured } from './measure.ts';

export interface Line {
  readonly place: string;
  readonly name: string;
  readonly result: Measured | { readonly failed: string };
}

/** The machine in one line. */
export function machine(): string {
  return `Node ${process.versions.node}, ${availableParallelism()} cores, ${cpus()[0]?.model ?? 'unknown processor'}`;
}

/** Rows as fixed-width text, in the order given. */
export function tableOf(lines: readonly Line[]): string {
  const header = ['', 'row', 'ours', 'floor', 'ratio', 'target', 'holds', 'note'];
  const rows = lines.map(({ place, name, result }) =>
    'failed' in result
      ? [place, name, `failed: ${result.failed}`, '', '', '', 'no', '']
      : [
          place,
          name,
          `${figure(result.ours)} ${result.unit}`,
          result.floor === null ? '–' : figure(result.floor),
          result.ratio === null ? '–' : result.ratio.toFixed(2),
          result.target?.says ?? '–',
          result.target === undefined ? '–' : result.target.holds ? 'yes' : 'NO',
          result.note ?? '',
        ],
  );
  const widths = header.map((_, i) => Math.max(...[header, ...rows].map((row) => width(row[i] ?? '', i))));
  const text = (row: string[]) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd();
  return [text(header), widths.map((each) => '-'.repeat(each)).join('  '), ...rows.map(text)].join('\n');
}

/** A reason may run over its column: it would push all others to the right. */
function width(cell: string, column: number): number {
  return column === 2 ? Math.min(cell.length, 24) : cell.length;
}

function figure(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en');
  return value.toFixed(Math.abs(value) >= 100 ? 0 : 2);
}
