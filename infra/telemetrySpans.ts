import {
  type Context,
  ROOT_CONTEXT,
  type Span as ApiSpan,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  trace,
  type Tracer as ApiTracer,
} from '@opentelemetry/api';
import type { Attributes, Span, SpanOptions, Tracer } from '../domain/tracing.ts';

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
const KINDS = {
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  consumer: SpanKind.CONSUMER,
  internal: SpanKind.INTERNAL,
};

/** Spans of OpenTelemetry behind the port. A parent that is no traceparent counts for nothing. */
export function createSpans(tracer: ApiTracer): Tracer {
  return {
    begin(name, { parent, kind = 'internal', attributes = {}, links = [] }: SpanOptions = {}) {
      const options = {
        kind: KINDS[kind],
        attributes: plain(attributes),
        links: links.flatMap((each) => spanContextOf(each) ?? []).map((context) => ({ context })),
      };
      return spanOf(tracer.startSpan(name, options, parentOf(parent)));
    },
  };
}

function parentOf(traceparent: string | undefined): Context {
  const parent = spanContextOf(traceparent);
  return parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);
}

function spanContextOf(traceparent: string | undefined): SpanContext | null {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(traceparent ?? '') ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return null;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true };
}

function spanOf(span: ApiSpan): Span {
  const { traceId, spanId, traceFlags } = span.spanContext();
  let ended = false;
  return {
    traceparent: `00-${traceId}-${spanId}-0${traceFlags & 1}`,
    rename: (name) => void span.updateName(name),
    set: (attributes) => void span.setAttributes(plain(attributes)),
    end(failure) {
      if (ended) return;
      ended = true;
      if (failure !== undefined) span.setStatus({ code: SpanStatusCode.ERROR }).setAttribute('error.type', failure);
      span.end();
    },
  };
}

function plain(attributes: Attributes): Record<string, string | number | boolean | string[]> {
  const entries = Object.entries(attributes);
  return Object.fromEntries(entries.map(([name, value]) => [name, typeof value === 'object' ? [...value] : value]));
}
