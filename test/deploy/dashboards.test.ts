/** The Grafana dashboards: JSON that Grafana takes, panels that do not overlap, about metrics that there are. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { metrics } from '../../domain/telemetry.ts';
import { suite } from '../harness.ts';
import { metricsIn } from './promql.ts';

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly datasource: { readonly type: string; readonly uid: string };
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets: readonly { readonly refId: string; readonly expr: string }[];
}

interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly schemaVersion: number;
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] };
  readonly panels: readonly Panel[];
}

const test = suite('dashboards');
const folder = join(import.meta.dirname, '../../deploy/observability/dashboards');
/** Of Prometheus itself and of Node. */
const OTHERS = /^(up|(process|nodejs)_[a-z0-9_]+)$/;

const dashboards = readdirSync(folder).map((file) => ({
  file,
  ...(JSON.parse(readFileSync(join(folder, file), 'utf8')) as Dashboard),
}));

/** What is wrong with a dashboard, each a sentence. */
function problemsOf({ uid, title, templating, panels }: Dashboard): string[] {
  const problems: string[] = [];
  const say = (wrong: boolean, what: string) => wrong && problems.push(`${title}: ${what}`);
  say(!/^[a-z-]{1,40}$/.test(uid), 'has no uid');
  say(
    !templating.list.some(({ name, type }) => name === 'datasource' && type === 'datasource'),
    'no data source to choose',
  );
  say(new Set(panels.map(({ id }) => id)).size < panels.length, 'two panels have one id');
  for (const [i, panel] of panels.entries()) {
    say(panel.datasource.uid !== '${datasource}', `${panel.title} has a data source of its own`);
    say(panel.targets.length === 0, `${panel.title} shows nothing`);
    say(panel.gridPos.x + panel.gridPos.w > 24, `${panel.title} does not fit`);
    say(
      panels.slice(i + 1).some((other) => overlap(panel, other)),
      `${panel.title} lies upon another`,
    );
    for (const { expr } of panel.targets) {
      const asked = metricsIn(expr);
      say(asked.length === 0, `${panel.title} asks for nothing`);
      for (const one of asked) say(!known(one), `${panel.title} asks for ${one}, which is no metric`);
      for (const label of labelsIn(expr)) say(!labels.has(label), `${panel.title} asks for the label ${label}`);
    }
  }
  return problems;
}

const labels = new Set<string>([
  ...Object.values(metrics).flatMap((each) => [...each.labels]),
  'job',
  'instance',
  'le',
]);

function labelsIn(expression: string): string[] {
  const grouped = [...expression.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(', '));
  return [...grouped, ...[...expression.matchAll(/[{,]\s*(\w+)(?:=|!)/g)].map(([, label = '']) => label)];
}

function known(series: string): boolean {
  const name = series.replace(/_(count|sum|bucket)$/, '');
  return series in metrics || name in metrics || OTHERS.test(series);
}

function overlap({ gridPos: a }: Panel, { gridPos: b }: Panel): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

test('every panel asks for metrics and labels that there are, from the data source that is chosen', () => {
  assert.equal(dashboards.map(({ file }) => file).sort(), ['http.json', 'log.json', 'overview.json', 'turns.json']);
  assert.equal(dashboards.flatMap(problemsOf), []);
  assert.is(new Set(dashboards.map(({ uid }) => uid)).size, dashboards.length);
});

test('every metric of ours is on some dashboard', () => {
  const shown = new Set(
    dashboards.flatMap(({ panels }) => panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => metricsIn(expr)))),
  );
  const missing = Object.keys(metrics).filter(
    (name) => ![name, `${name}_count`, `${name}_bucket`].some((each) => shown.has(each)),
  );
  assert.equal(missing, []);
});

test('a panel that asks for what is not there is found', () => {
  const [first] = dashboards;
  const [panel] = first?.panels ?? [];
  assert.ok(first && panel);
  for (const expr of ['max(no_such_metric)', 'sum by (colour) (sse_clients)', '1'])
    assert.is(problemsOf({ ...first, panels: [{ ...panel, targets: [{ refId: 'A', expr }] }] }).length, 1, expr);
});

test.run();
