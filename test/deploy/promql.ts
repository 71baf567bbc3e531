/** The part of PromQL that our alerts use, for where Prometheus' own promtool is not at hand. */

/** A series of a scrape: values by their times in seconds, ascending. */
export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly points: readonly (readonly [atSeconds: number, value: number])[];
}

interface Valued {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}
type Vector = readonly Valued[];
type Expression = (series: readonly Series[], atSeconds: number) => Vector;

/** How long a value counts after its scrape. */
const LOOK_BACK_SECONDS = 300;
const KEYWORDS = /^(by|on|and|or|unless|bool|ignoring|without|group_left|group_right)$/;

/** Names of the metrics that an expression asks for. */
export function metricsIn(expression: string): string[] {
  const bare = expression
    .replaceAll(/"(\\.|[^"])*"/g, '')
    .replaceAll(/\{[^}]*\}|\[[^\]]*\]/g, ' ')
    .replaceAll(/\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)/g, ' ');
  const names = [...bare.matchAll(/(?<![\w$])[a-zA-Z_:][\w:]*(?!\w*\s*\()/g)].map(([name]) => name);
  return [...new Set(names.filter((name) => !KEYWORDS.test(name)))];
}

interface Reader {
  readonly text: string;
  peek(): string;
  /** @throws Error when another token is there than the one expected. */
  take(expected?: string): string;
}

const TOKEN = /"(?:\\.|[^"])*"|[a-zA-Z_:][\w:]*|\d+(?:\.\d+)?[smh]?|==|!=|=~|!~|>=|<=|[-+*/<>=(){}[\],]/g;

function readerOf(text: string): Reader {
  const tokens = text.match(TOKEN) ?? [];
  let next = 0;
  const peek = () => tokens[next] ?? '';
  const take = (expected?: string): string => {
    const token = peek();
    if (expected !== undefined && token !== expected)
      throw new Error(`"${expected}" expected in ${text}, not "${token}"`);
    next += 1;
    return token;
  };
  return { text, peek, take };
}

/** @throws Error for what it does not know. */
export function compile(text: string): Expression {
  const reader = readerOf(text);
  const expression = comparison(reader);
  if (reader.peek() !== '') throw new Error(`"${reader.peek()}" was not expected in ${text}`);
  return expression;
}

function comparison(reader: Reader): Expression {
  const left = quotient(reader);
  if (!/^(==|>|<|>=|<=)$/.test(reader.peek())) return left;
  const operator = reader.take();
  const written = reader.take();
  const bound = Number(written);
  if (!/^\d/.test(written)) throw new Error(`a number expected in ${reader.text}, not "${written}"`);
  return (series, at) => left(series, at).filter(({ value }) => compares(value, operator, bound));
}

function quotient(reader: Reader): Expression {
  const left = operand(reader);
  if (reader.peek() !== '/') return left;
  reader.take();
  const right = operand(reader);
  return (series, at) => divided(left(series, at), right(series, at));
}

function operand(reader: Reader): Expression {
  const name = reader.take();
  if (/^(sum|max|min)$/.test(name)) return aggregation(reader, name);
  if (!/^[a-z_]/.test(name)) throw new Error(`"${name}" is not known in ${reader.text}`);
  if (reader.peek() === '(') return call(reader, name);
  return selected(selector(reader, name), LOOK_BACK_SECONDS, ({ points }) => points.at(-1)?.[1] ?? NaN);
}

function call(reader: Reader, name: string): Expression {
  if (!/^(absent|increase|rate)$/.test(name)) throw new Error(`${name}() is not known in ${reader.text}`);
  reader.take('(');
  const wanted = selector(reader, reader.take());
  if (name === 'absent') {
    reader.take(')');
    const there = selected(wanted, LOOK_BACK_SECONDS, () => 1);
    return (series, at) => (there(series, at).length === 0 ? [{ labels: {}, value: 1 }] : []);
  }
  reader.take('[');
  const seconds = secondsOf(reader.take());
  reader.take(']');
  reader.take(')');
  return selected(wanted, seconds, (one) => growth(one) / (name === 'rate' ? seconds : 1), 2);
}

function aggregation(reader: Reader, kind: string): Expression {
  const by: string[] = [];
  if (reader.peek() === 'by') {
    reader.take();
    reader.take('(');
    list(reader, ')', () => by.push(reader.take()));
  }
  reader.take('(');
  const inner = comparison(reader);
  reader.take(')');
  return (series, at) => aggregated(kind, by, inner(series, at));
}

function selector(reader: Reader, name: string): (one: Series) => boolean {
  const matchers: ((labels: Series['labels']) => boolean)[] = [];
  if (reader.peek() === '{') {
    reader.take();
    list(reader, '}', () => matchers.push(matcher(reader.take(), reader.take(), JSON.parse(reader.take()) as string)));
  }
  return (one) => one.name === name && matchers.every((matches) => matches(one.labels));
}

function list(reader: Reader, end: string, item: () => void): void {
  while (reader.peek() !== end) {
    item();
    if (reader.peek() !== end) reader.take(',');
  }
  reader.take(end);
}

function matcher(label: string, operator: string, value: string): (labels: Series['labels']) => boolean {
  const pattern = new RegExp(`^(?:${value})$`);
  if (operator === '=') return (labels) => (labels[label] ?? '') === value;
  if (operator === '!=') return (labels) => (labels[label] ?? '') !== value;
  if (operator === '=~') return (labels) => pattern.test(labels[label] ?? '');
  return (labels) => !pattern.test(labels[label] ?? '');
}

function selected(
  wanted: (one: Series) => boolean,
  seconds: number,
  valueOf: (one: Series) => number,
  least = 1,
): Expression {
  return (series, at) =>
    series.filter(wanted).flatMap((one) => {
      const points = one.points.filter(([time]) => time <= at && time > at - seconds);
      return points.length < least ? [] : [{ labels: one.labels, value: valueOf({ ...one, points }) }];
    });
}

/** A counter that fell has begun anew at 0. */
function growth({ points }: Series): number {
  return points.slice(1).reduce((sum, [, value], i) => {
    const before = points[i]?.[1] ?? 0;
    return sum + (value >= before ? value - before : value);
  }, 0);
}

function aggregated(kind: string, by: readonly string[], vector: Vector): Vector {
  const groups = new Map<string, { labels: Record<string, string>; values: number[] }>();
  for (const { labels, value } of vector) {
    const kept = Object.fromEntries(by.map((label) => [label, labels[label] ?? '']));
    const key = JSON.stringify(kept);
    const group = groups.get(key) ?? { labels: kept, values: [] };
    group.values.push(value);
    groups.set(key, group);
  }
  return [...groups.values()].map(({ labels, values }) => {
    if (kind === 'sum') return { labels, value: values.reduce((sum, each) => sum + each, 0) };
    return { labels, value: kind === 'max' ? Math.max(...values) : Math.min(...values) };
  });
}

function divided(left: Vector, right: Vector): Vector {
  const byLabels = new Map(right.map(({ labels, value }) => [JSON.stringify(labels), value]));
  return left.flatMap(({ labels, value }) => {
    const by = byLabels.get(JSON.stringify(labels));
    return by === undefined ? [] : [{ labels, value: value / by }];
  });
}

function compares(value: number, operator: string, bound: number): boolean {
  if (operator === '==') return value === bound;
  if (operator === '>') return value > bound;
  if (operator === '<') return value < bound;
  return operator === '>=' ? value >= bound : value <= bound;
}

/** Seconds of `90s`, `5m`, `1h`. */
export function secondsOf(duration: string): number {
  const [, number = '', unit = ''] = /^(\d+)([smh])$/.exec(duration) ?? [];
  const factor = { s: 1, m: 60, h: 3600 }[unit];
  if (factor === undefined) throw new Error(`"${duration}" is no duration`);
  return Number(number) * factor;
}

/** Whether an alert fires at some step up to `atSeconds`: its condition held for its time without a gap. */
export function fires(
  alert: { readonly expr: string; readonly for?: string },
  series: readonly Series[],
  { atSeconds, stepSeconds }: { readonly atSeconds: number; readonly stepSeconds: number },
): boolean {
  const holds = compile(alert.expr);
  const waitSeconds = alert.for === undefined ? 0 : secondsOf(alert.for);
  const since = new Map<string, number>();
  for (let at = 0; at <= atSeconds; at += stepSeconds) {
    const now = new Set(holds(series, at).map(({ labels }) => JSON.stringify(labels)));
    for (const key of since.keys()) if (!now.has(key)) since.delete(key);
    for (const key of now) if (!since.has(key)) since.set(key, at);
    if ([...since.values()].some((start) => at - start >= waitSeconds)) return true;
  }
  return false;
}
