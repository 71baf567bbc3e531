/** The alert rules: sound, about metrics that there are, and each with a runbook. They are brought about in test/flow/. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { metrics } from '../../domain/telemetry.ts';
import { suite } from '../harness.ts';
import { type Alert, readAlerts } from './alertRules.ts';
import { compile, fires, metricsIn, secondsOf, type Series } from './promql.ts';

const test = suite('alert rules');
const root = join(import.meta.dirname, '../..');
const SECTIONS = ['What it means', 'First command', 'How to mend it', 'How to verify'];

/** What is wrong with a rule, each a sentence. */
function problemsOf({ alert, expr, for: wait = '0s', labels, annotations }: Alert): string[] {
  const problems: string[] = [];
  const say = (wrong: boolean, what: string) => wrong && problems.push(`${alert}: ${what}`);
  say(!/^Colloquy[A-Z][A-Za-z]+$/.test(alert), 'is not named as the others');
  say(!['critical', 'warning'].includes(labels.severity), 'has no severity');
  say(annotations.summary === '', 'says nothing');
  say(Number.isNaN(secondsOf(wait)), 'waits for no time');
  const series = metricsIn(expr);
  for (const one of series) say(one !== 'up' && !known(one), `asks for ${one}, which is no metric`);
  say(series.length === 0, 'asks for nothing');
  say(annotations.runbook !== `docs/runbooks/${alert}.md`, 'names another runbook');
  const runbook = join(root, annotations.runbook);
  if (!existsSync(runbook)) return [...problems, `${alert}: has no runbook`];
  const text = readFileSync(runbook, 'utf8');
  const found = [...text.matchAll(/^## (.+)$/gm)].map(([, title]) => title);
  say(found.join() !== SECTIONS.join(), `its runbook has other sections than ${SECTIONS.join(', ')}`);
  say(!/## First command\n\n```sh\n\S.*\n```/.test(text), 'its runbook has no first command');
  try {
    compile(expr);
  } catch (error) {
    problems.push(`${alert}: ${error instanceof Error ? error.message : 'cannot be read'}`);
  }
  return problems;
}

function known(series: string): boolean {
  return series in metrics || series.replace(/_(count|sum|bucket)$/, '') in metrics;
}

test('every rule is sound, asks for metrics that there are, and has a runbook with its four parts', () => {
  const alerts = readAlerts();
  assert.ok(alerts.length >= 12);
  assert.equal(alerts.flatMap(problemsOf), []);
  assert.is(new Set(alerts.map(({ alert }) => alert)).size, alerts.length, 'each once');
  const runbooks = readdirSync(join(root, 'docs/runbooks')).map((file) => file.replace(/\.md$/, ''));
  assert.equal(runbooks.sort(), alerts.map(({ alert }) => alert).sort(), 'and no runbook without its alert');
});

test('a rule that is wrong is found', () => {
  const [first] = readAlerts();
  assert.ok(first);
  const wrong: Partial<Alert>[] = [
    { expr: 'max(no_such_metric) > 1' },
    { expr: 'max(' },
    { alert: 'Other' },
    { labels: { severity: 'bad' } },
    { annotations: { ...first.annotations, runbook: 'docs/runbooks/None.md' } },
  ];
  for (const change of wrong) assert.not.equal(problemsOf({ ...first, ...change }), [], JSON.stringify(change));
});

const at = { atSeconds: 600, stepSeconds: 60 };
/** A value a minute. */
function series(name: string, values: readonly number[], labels: Series['labels'] = {}): Series {
  return { name, labels, points: values.map((value, minute) => [minute * 60, value]) };
}

test('the evaluator knows what the rules use: selectors, rates, sums, comparisons, absence and waits', () => {
  const steps = [0, 0, 0, 5, 5, 5, 5, 5, 5, 5, 5];
  const a = series('a', steps, { kind: 'x' });
  const b = series('a', [9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9], { kind: 'y' });
  const fired = (expr: string, wait?: string) =>
    fires({ expr, ...(wait === undefined ? {} : { for: wait }) }, [a, b], at);
  assert.ok(fired('a{kind="x"} > 4') && !fired('a{kind="x"} > 5') && !fired('a{kind="z"} > 0'));
  assert.ok(fired('a{kind=~"x|z"} == 5') && fired('a{kind!="x"} > 8') && !fired('a{kind!~"x|y"} > 0'));
  assert.ok(fired('max(a) > 8') && fired('sum(a) > 13') && fired('min(a) < 1') && fired('max by (kind) (a) >= 9'));
  assert.ok(fired('sum(increase(a[5m])) > 4') && !fired('sum(increase(a[5m])) > 5'), 'and no more than it grew');
  assert.ok(fired('sum(rate(a[5m])) / sum(rate(a[5m])) > 0.9') && !fired('sum(rate(a{kind="y"}[5m])) > 0'));
  assert.ok(fired('absent(c)') && !fired('absent(a)'));
  assert.ok(fired('sum(increase(a[5m])) > 4', '3m') && !fired('sum(increase(a[5m])) > 4', '6m'), 'without a gap');
  const reset = series('a', [8, 9, 1, 2]);
  assert.ok(fires({ expr: 'increase(a[5m]) > 2' }, [reset], at), 'a counter that began anew');
  for (const unknown of ['a > ', 'histogram_quantile(0.9, a)', 'a and b', 'avg(a) > 1'])
    assert.throws(() => compile(unknown), unknown);
  const asked = metricsIn(
    'sum by (le) (rate(a_bucket{job="$job", x!="y"}[$__rate_interval])) / on (b) c > 0.5 and up == 0',
  );
  assert.equal(asked, ['a_bucket', 'c', 'up']);
});

test.run();
