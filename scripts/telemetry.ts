/** Where spans and metrics go beside /metrics: nowhere unless a collector is named. */
import type { Log } from '../domain/telemetry.ts';
import { noTracer, type Tracer } from '../domain/tracing.ts';
import { programVersion, shareWithOpenTelemetry, type Settings } from '../infra/config.ts';
import type { Prometheus } from '../infra/prometheus.ts';
import { systemClock, systemIds } from '../infra/system.ts';

export interface OpenTelemetry {
  readonly tracer: Tracer;
  /** Sends what waits, within seconds. */
  close(): Promise<void>;
}

/** Starts the export where OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_TRACES_EXPORTER is set; else nothing of it is loaded. */
export async function openTelemetry(settings: Settings, prometheus: Prometheus, log: Log): Promise<OpenTelemetry> {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_TRACES_EXPORTER: traces, WORKER_ID: name } = settings;
  if (endpoint === undefined && (traces ?? 'none') === 'none')
    return { tracer: noTracer, close: () => Promise.resolve() };
  shareWithOpenTelemetry(settings);
  const { startTelemetryExport } = await import('../infra/telemetryExport.ts');
  const exported = startTelemetryExport({
    version: programVersion(),
    instance: name ?? systemIds.nonce(),
    clock: systemClock,
    log,
    read: (metric) => prometheus.read(metric),
  });
  prometheus.alsoObserve((...measured) => exported.observe(...measured));
  return exported;
}
