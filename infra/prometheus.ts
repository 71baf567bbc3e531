import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { metrics, type MetricName, type Telemetry } from '../domain/telemetry.ts';

/** From half a millisecond to five minutes: appends and model calls share the scale. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** What a gauge shows, read when somebody asks. */
export type Sample = () => Sampled | Promise<Sampled>;
type Sampled = readonly { readonly value: number; readonly labels?: Record<string, string> }[];

export interface Prometheus {
  readonly registry: Registry;
  readonly telemetry: Telemetry;
  /** Has a gauge read at every scrape. A sample that fails is left out: the gauge keeps what it showed. */
  sample(name: MetricName, read: Sample): void;
}

/** Telemetry into a Prometheus registry, with Node's own metrics. */
export function createPrometheus(): Prometheus {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const counters = new Map<MetricName, Counter>();
  const gauges = new Map<MetricName, Gauge>();
  const histograms = new Map<MetricName, Histogram>();
  const samples = new Map<MetricName, Sample[]>();
  for (const [name, { kind, labels, help }] of Object.entries(metrics) as [
    MetricName,
    (typeof metrics)[MetricName],
  ][]) {
    const settings = { name, help, labelNames: [...labels], registers: [registry] };
    if (kind === 'counter') counters.set(name, new Counter(settings));
    else if (kind === 'gauge') gauges.set(name, new Gauge({ ...settings, collect: collectorOf(samples, name) }));
    else histograms.set(name, new Histogram({ ...settings, buckets: BUCKETS }));
  }
  const telemetry: Telemetry = {
    count: (name, labels = {}, by = 1) => counters.get(name)?.inc(labels, by),
    set: (name, value, labels = {}) => gauges.get(name)?.set(labels, value),
    observe: (name, seconds, labels = {}) => histograms.get(name)?.observe(labels, seconds),
  };
  const sample = (name: MetricName, read: Sample): void => {
    samples.set(name, [...(samples.get(name) ?? []), read]);
  };
  return { registry, telemetry, sample };
}

function collectorOf(samples: ReadonlyMap<MetricName, readonly Sample[]>, name: MetricName) {
  return async function (this: Gauge): Promise<void> {
    for (const read of samples.get(name) ?? []) {
      const values = await Promise.resolve()
        .then(read)
        .catch((): Sampled => []);
      for (const { value, labels = {} } of values) this.set(labels, value);
    }
  };
}
