/** Alerts held against two scrapes, by the evaluator of the tests and by promtool where it is on the PATH. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { alertsFile, type Alert } from '../deploy/alertRules.ts';
import { fires, metricsIn, type Series } from '../deploy/promql.ts';
import type { Scrape } from './alertScene.ts';

const run = promisify(execFile);
/** So long everything was well, and then so long as it was after the fault: a scrape each minute. */
const MINUTES = { well: 20, broken: 20 };
const STEP_SECONDS = 60;
const PROMTOOL_MS = 60_000;

export interface Occurrence {
  readonly alert: Alert;
  readonly before: Scrape;
  readonly after: Scrape;
}

/** What is wrong by our own evaluator: an alert that fires before its fault, or does not after it. */
export function problemsOf({ alert, before, after }: Occurrence): string[] {
  const series = seriesOf(alert, before, after);
  const problems: string[] = [];
  const wellSeconds = (MINUTES.well - 1) * STEP_SECONDS;
  const at = (atSeconds: number) => fires(alert, series, { atSeconds, stepSeconds: STEP_SECONDS });
  if (at(wellSeconds)) problems.push(`${alert.alert} fires while all is well`);
  if (!at((MINUTES.well + MINUTES.broken) * STEP_SECONDS)) problems.push(`${alert.alert} does not fire`);
  return problems;
}

/** The series of the metrics that an alert asks for. */
function seriesOf({ expr }: Alert, before: Scrape, after: Scrape): Series[] {
  const wanted = metricsIn(expr);
  const keys = [...new Set([...before.keys(), ...after.keys()])];
  return keys.flatMap((key) => {
    const [, name = '', text = ''] = /^(\w+)\{(.*)\}$/.exec(key) ?? [];
    if (!wanted.includes(name)) return [];
    const given = [...text.matchAll(/(\w+)="((?:\\.|[^"])*)"/g)].map(([, label = '', value = '']) => [label, value]);
    const labels = { ...(Object.fromEntries(given) as Record<string, string>), instance: 'here:4400', job: 'colloquy' };
    const times = Array.from({ length: MINUTES.well + MINUTES.broken + 1 }, (_, minute) => minute);
    const points = times.flatMap((minute): [number, number][] => {
      const value = (minute < MINUTES.well ? before : after).get(key);
      return value === undefined ? [] : [[minute * STEP_SECONDS, value]];
    });
    return [{ name, labels, points }];
  });
}

/** The version of promtool, null where there is none. */
export async function promtoolVersion(): Promise<string | null> {
  const shown = await run('promtool', ['--version'], { timeout: PROMTOOL_MS }).catch(() => null);
  return shown === null ? null : (/version (\S+)/.exec(shown.stdout + shown.stderr)?.[1] ?? '?');
}

/** The same by promtool, in one file of its tests. @returns what it says when it is not content, else ''. */
export async function promtoolProblems(occurrences: readonly Occurrence[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'colloquy-promtool-'));
  const file = join(folder, 'tests.yaml');
  const tests = occurrences.map(({ alert, before, after }) => {
    const fired = (range: string) =>
      `count(count_over_time(ALERTS{alertname="${alert.alert}",alertstate="firing"}[${range}])) > bool 0`;
    return {
      interval: '1m',
      input_series: seriesOf(alert, before, after).map((one) => ({ series: written(one), values: valuesOf(one) })),
      promql_expr_test: [
        { expr: fired(`${MINUTES.well}m`), eval_time: `${MINUTES.well - 1}m`, exp_samples: [] },
        {
          expr: fired(`${MINUTES.broken}m`),
          eval_time: `${MINUTES.well + MINUTES.broken}m`,
          exp_samples: [{ labels: '{}', value: 1 }],
        },
      ],
    };
  });
  try {
    await writeFile(file, stringify({ rule_files: [alertsFile], evaluation_interval: '1m', tests }));
    await run('promtool', ['check', 'rules', alertsFile], { timeout: PROMTOOL_MS });
    await run('promtool', ['test', 'rules', file], { timeout: PROMTOOL_MS });
    return '';
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    return `${stdout}${stderr}` || String(error);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function written({ name, labels }: Series): string {
  return `${name}{${Object.entries(labels)
    .map(([label, value]) => `${label}="${value}"`)
    .join(',')}}`;
}

/** `_` where there was nothing. */
function valuesOf({ points }: Series): string {
  const byMinute = new Map(points.map(([at, value]) => [at / STEP_SECONDS, value]));
  const last = MINUTES.well + MINUTES.broken;
  return Array.from({ length: last + 1 }, (_, minute) => byMinute.get(minute) ?? '_').join(' ');
}
