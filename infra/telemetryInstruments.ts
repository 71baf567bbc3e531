import type { Histogram, Meter } from '@opentelemetry/api';
import { BUCKETS, eachMetric, type MetricName, type Telemetry } from '../domain/telemetry.ts';

/** What a counter or gauge shows now. */
export type ReadMetric = (
  name: MetricName,
) => Promise<readonly { readonly value: number; readonly labels?: Record<string, string> }[]>;

/** The table of metrics as instruments of the same names. Counters and gauges are read when they are exported. */
export function createInstruments(meter: Meter, read: ReadMetric): Telemetry['observe'] {
  const histograms = new Map<MetricName, Histogram>();
  for (const { name, kind, help: description, buckets = BUCKETS } of eachMetric()) {
    if (kind === 'histogram') {
      const advice = { explicitBucketBoundaries: [...buckets] };
      histograms.set(name, meter.createHistogram(name, { description, unit: 's', advice }));
      continue;
    }
    const instrument =
      kind === 'counter'
        ? meter.createObservableCounter(name, { description })
        : meter.createObservableGauge(name, { description });
    instrument.addCallback(async (result) => {
      for (const { value, labels = {} } of await read(name)) result.observe(value, labels);
    });
  }
  return (name, seconds, labels = {}) => histograms.get(name)?.record(seconds, labels);
}
