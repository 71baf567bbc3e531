/** The log and its read models as before, and what they do as spans. */
import type { EventStore, Slice } from '../domain/ports.ts';
import type { Telemetry } from '../domain/telemetry.ts';
import { inSpan, noTracer, type Span, type Tracer } from '../domain/tracing.ts';
import { systemClock } from '../infra/system.ts';
import { measureAppends, measureSubscriptions } from './measuredLog.ts';

/** Batches whose spans are open at most: a read model that is far behind is seen by its lag. */
const MAX_OPEN = 100;
/** Causes of a batch that are named. */
const MAX_LINKS = 32;

/** Each append is a span of the command whose events it brings. */
export function traceAppends<S extends EventStore>(store: S, tracer: Tracer): S {
  if (tracer === noTracer) return store;
  const append: EventStore['append'] = (stream, events, expectedRevision) => {
    const span = tracer.begin('append', {
      parent: events[0]?.metadata.traceparent,
      kind: 'client',
      attributes: { 'colloquy.stream': stream, 'colloquy.events': events.map(({ type }) => type) },
    });
    return inSpan(span, async () => {
      const appended = await store.append(stream, events, expectedRevision);
      span.set({ 'colloquy.revision': appended.revision, 'colloquy.position': String(appended.position) });
      return appended;
    });
  };
  return { ...store, append };
}

/** The log as commands and readers have it, and as the read models do, measured and traced. */
export interface ObservedLog extends Pick<TracedBatches, 'applied'> {
  readonly live: EventStore;
  readonly projected: EventStore;
}

/** What the engine's parts are given instead of the bare log. */
export function observeLog(store: EventStore, telemetry: Telemetry, tracer: Tracer): ObservedLog {
  const { seen, applied } = traceBatches(tracer);
  const live = measureAppends(measureSubscriptions(store, 'live', telemetry, systemClock), telemetry, systemClock);
  const projected = measureSubscriptions(store, 'projections', telemetry, systemClock, seen);
  return { live: traceAppends(live, tracer), projected, applied };
}

/** Spans of batches on their way into the read models, from their arrival to all read models having applied them. */
export interface TracedBatches {
  readonly seen: (slice: Slice) => void;
  readonly applied: (position: bigint) => void;
}

/** A batch of one trace belongs to it; one of several begins its own, with links to them. */
export function traceBatches(tracer: Tracer): TracedBatches {
  let open: { readonly position: bigint; readonly span: Span }[] = [];
  return {
    seen({ events }) {
      const last = events.at(-1);
      if (tracer === noTracer || last === undefined || open.length >= MAX_OPEN) return;
      const causes = [...new Set(events.flatMap(({ metadata }) => metadata.traceparent ?? []))];
      const [first] = causes;
      const one = new Set(causes.map((each) => each.split('-')[1])).size === 1;
      const span = tracer.begin('project', {
        ...(one ? { parent: first } : { links: causes.slice(0, MAX_LINKS) }),
        kind: 'consumer',
        attributes: { 'colloquy.batch.events': events.length, 'colloquy.position': String(last.position) },
      });
      open.push({ position: last.position, span });
    },
    applied(position) {
      for (const each of open) if (each.position <= position) each.span.end();
      open = open.filter((each) => each.position > position);
    },
  };
}
