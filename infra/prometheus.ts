import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { metrics, type MetricName, type Telemetry } from '../domain/telemetry.ts';

/** From half a millisecond to five minutes: appends and model calls share the scale. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** Telemetry into a Prometheus registry, with Node's own metrics. */
export function createPrometheus(): { registry: Registry; telemetry: Telemetry } {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const counters = new Map<MetricName, Counter>();
  const gauges = new Map<MetricName, Gauge>();
  const histograms = new Map<MetricName, Histogram>();
  for (const [name, { kind, labels, help }] of Object.entries(metrics) as [
    MetricName,
    (typeof metrics)[MetricName],
  ][]) {
    const settings = { name, help, labelNames: [...labels], registers: [registry] };
    if (kind === 'counter') counters.set(name, new Counter(settings));
    else if (kind === 'gauge') gauges.set(name, new Gauge(settings));
    else histograms.set(name, new Histogram({ ...settings, buckets: BUCKETS }));
  }
  const telemetry: Telemetry = {
    count: (name, labels = {}, by = 1) => counters.get(name)?.inc(labels, by),
    set: (name, value) => gauges.get(name)?.set(value),
    observe: (name, seconds, labels = {}) => histograms.get(name)?.observe(labels, seconds),
  };
  return { registry, telemetry };
}
