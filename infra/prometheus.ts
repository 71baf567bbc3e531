import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { BUCKETS, eachMetric, type MetricName, type Telemetry } from '../domain/telemetry.ts';

/** What a gauge shows, read when somebody asks. */
export type Sample = () => Sampled | Promise<Sampled>;
type Sampled = readonly { readonly value: number; readonly labels?: Record<string, string> }[];

export interface Prometheus {
  readonly registry: Registry;
  readonly telemetry: Telemetry;
  /** Has a gauge read at every scrape. A sample that fails is left out, and the gauge keeps what it showed, as does one that takes longer than 2 s. */
  sample(name: MetricName, read: Sample): void;
  /** What a counter or gauge shows now, gauges read anew. */
  read(name: MetricName): Promise<Sampled>;
  /** Has every time that is told told to somebody else, too. */
  alsoObserve(observe: Telemetry['observe']): void;
}

/** Telemetry into a Prometheus registry, with Node's own metrics. */
export function createPrometheus(): Prometheus {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const counters = new Map<MetricName, Counter>();
  const gauges = new Map<MetricName, Gauge>();
  const histograms = new Map<MetricName, Histogram>();
  const samples = new Map<MetricName, Sample[]>();
  const observers: Telemetry['observe'][] = [];
  for (const { name, kind, labels, help, buckets = BUCKETS, zero = [] } of eachMetric()) {
    const settings = { name, help, labelNames: [...labels], registers: [registry] };
    if (kind === 'gauge') {
      const gauge = new Gauge({ ...settings, collect: collectorOf(samples, name) });
      // Else it shows 0 before anybody has told: the age of a backup that was never made.
      gauge.remove({});
      gauges.set(name, gauge);
    } else if (kind === 'counter') {
      const counter = new Counter(settings);
      for (const set of zero) counter.inc(set, 0);
      counters.set(name, counter);
    } else {
      const histogram = new Histogram({ ...settings, buckets: [...buckets] });
      for (const set of zero) histogram.zero(set);
      histograms.set(name, histogram);
    }
  }
  const telemetry: Telemetry = {
    count: (name, labels = {}, by = 1) => counters.get(name)?.inc(labels, by),
    set: (name, value, labels = {}) => gauges.get(name)?.set(labels, value),
    observe(name, seconds, labels = {}) {
      histograms.get(name)?.observe(labels, seconds);
      for (const observe of observers) observe(name, seconds, labels);
    },
  };
  return {
    registry,
    telemetry,
    sample: (name, read) => void samples.set(name, [...(samples.get(name) ?? []), read]),
    async read(name) {
      const { values } = (await (counters.get(name) ?? gauges.get(name))?.get()) ?? { values: [] };
      return values.map(({ value, labels }) => ({
        value,
        labels: Object.fromEntries(Object.entries(labels).map(([label, text]) => [label, String(text)])),
      }));
    },
    alsoObserve: (observe) => void observers.push(observe),
  };
}

/** A sample that takes longer is left out: a scrape must come through most of all when the database does not answer. */
const SAMPLE_MS = 2_000;

function inTime(sampled: Promise<Sampled>): Promise<Sampled> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Sampled>((resolve) => (timer = setTimeout(() => resolve([]), SAMPLE_MS)));
  return Promise.race([sampled, late]).finally(() => clearTimeout(timer));
}

function collectorOf(samples: ReadonlyMap<MetricName, readonly Sample[]>, name: MetricName) {
  return async function (this: Gauge): Promise<void> {
    for (const read of samples.get(name) ?? []) {
      // Read at once, in the order of the table.
      const sampled = new Promise<Sampled>((resolve) => resolve(read())).catch((): Sampled => []);
      const values = await inTime(sampled);
      for (const { value, labels = {} } of values) this.set(labels, value);
    }
  };
}
