/**
 * Spans and metrics to a collector by OTLP. Loaded only where it is switched on: the SDK takes 0.25 s of CPU and 26 MB.
 * Exporters, sampler and limits follow the OTEL_* variables, which the SDK reads from the environment by itself.
 */
import { type ContextManager, diag, DiagLogLevel, metrics, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { NodeSDK, resources } from '@opentelemetry/sdk-node';
import type { Clock } from '../domain/ports.ts';
import type { Log, Telemetry } from '../domain/telemetry.ts';
import type { Tracer } from '../domain/tracing.ts';
import { createInstruments, type ReadMetric } from './telemetryInstruments.ts';
import { createSpans } from './telemetrySpans.ts';

/** Longest that the end of the process waits for a collector: what is not taken by then is lost. */
const CLOSE_MS = 3_000;
/** Trouble with the collector is told once in this time. */
const TROUBLE_EVERY_MS = 60_000;

export interface TelemetryExportOptions {
  readonly version: string;
  /** Tells this process from others of the service. */
  readonly instance: string;
  readonly clock: Clock;
  readonly log: Pick<Log, 'warn'>;
  readonly read: ReadMetric;
}

export interface TelemetryExport {
  readonly tracer: Tracer;
  readonly observe: Telemetry['observe'];
  /** Sends what waits, within 3 s, and ends everything. */
  close(): Promise<void>;
}

/** One a process: the SDK keeps it in a global place. Nothing waits for the collector; what it does not take is dropped. */
export function startTelemetryExport(options: TelemetryExportOptions): TelemetryExport {
  const { version, instance, clock, read } = options;
  diag.setLogger(troubleTo(options), { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  const sdk = new NodeSDK({
    resource: resources.resourceFromAttributes({
      'service.name': 'colloquy',
      'service.version': version,
      'service.instance.id': instance,
    }),
    // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES only: the other detectors tell command lines and users.
    resourceDetectors: [resources.envDetector],
    contextManager: noContexts,
    textMapPropagator: null,
    logRecordProcessors: [],
  });
  sdk.start();
  return {
    tracer: createSpans(trace.getTracer('colloquy', version)),
    observe: createInstruments(metrics.getMeter('colloquy', version), read),
    async close() {
      const late = new AbortController();
      // A collector that is away must neither hold up nor fail the end of the process.
      await Promise.race([sdk.shutdown().catch(() => undefined), clock.sleep(CLOSE_MS, late.signal)]);
      late.abort('closed');
      for (const global of [trace, metrics, diag]) global.disable();
    },
  };
}

/** Parents are handed on explicitly: the usual manager would cost something at every promise. */
const noContexts: ContextManager = {
  active: () => ROOT_CONTEXT,
  with: (_context, work, self, ...args) => work.call(self as ThisParameterType<typeof work>, ...args),
  bind: (_context, target) => target,
  enable: () => noContexts,
  disable: () => noContexts,
};

/** The SDK tells of every batch that a collector did not take; messages may hold addresses, so only the first line is kept. */
function troubleTo({ log, clock }: TelemetryExportOptions) {
  let toldMs = -Infinity;
  const tell = (message: string) => {
    if (clock.monotonic() - toldMs < TROUBLE_EVERY_MS) return;
    toldMs = clock.monotonic();
    log.warn(
      { detail: message.split('\n')[0]?.slice(0, 200) },
      'telemetry could not be exported: it is dropped meanwhile',
    );
  };
  const nothing = () => undefined;
  return { error: tell, warn: tell, info: nothing, debug: nothing, verbose: nothing };
}
