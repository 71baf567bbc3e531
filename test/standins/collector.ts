/** A collector of OpenTelemetry: takes OTLP as JSON over HTTP and keeps what it was sent. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface CollectedSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  /** `service.instance.id` of the process. */
  readonly instance: string;
  readonly attributes: Readonly<Record<string, unknown>>;
}

export interface Collector {
  readonly url: string;
  readonly spans: readonly CollectedSpan[];
  /** Names of metrics that had a value. */
  readonly metrics: ReadonlySet<string>;
  /** Everything that was sent, as text. */
  text(): string;
  /** From now on requests are taken and never answered. */
  hang(): void;
  /** Resolves when the condition holds; looked at after every request. */
  until(holds: () => boolean): Promise<void>;
  stop(): Promise<void>;
}

interface Attribute {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}
interface Resource {
  readonly resource: { readonly attributes: readonly Attribute[] };
}
interface Sent {
  readonly resourceSpans?: readonly (Resource & { scopeSpans: { spans: SentSpan[] }[] })[];
  readonly resourceMetrics?: readonly (Resource & { scopeMetrics: { metrics: SentMetric[] }[] })[];
}
type SentSpan = Omit<CollectedSpan, 'attributes' | 'instance' | 'parentSpanId'> & {
  readonly parentSpanId?: string;
  readonly attributes: readonly Attribute[];
};
type SentMetric = { readonly name: string } & Partial<Record<'sum' | 'gauge' | 'histogram', { dataPoints: object[] }>>;

/** Listens on a free port. */
export async function startCollector(): Promise<Collector> {
  const spans: CollectedSpan[] = [];
  const metrics = new Set<string>();
  const bodies: string[] = [];
  const waiting = new Set<() => void>();
  let hangs = false;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (hangs) return;
      const body = Buffer.concat(chunks).toString();
      bodies.push(body);
      take(JSON.parse(body) as Sent, spans, metrics);
      response.writeHead(200, { 'Content-Type': 'application/json' }).end('{}');
      for (const look of waiting) look();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    metrics,
    text: () => bodies.join('\n'),
    hang: () => void (hangs = true),
    until: (holds) =>
      new Promise((resolve) => {
        const look = () => {
          if (!holds()) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function take(sent: Sent, spans: CollectedSpan[], metrics: Set<string>): void {
  for (const { resource, scopeSpans } of sent.resourceSpans ?? []) {
    const instance = String(plain(resource.attributes)['service.instance.id']);
    for (const { name, traceId, spanId, parentSpanId = '', attributes } of scopeSpans.flatMap((each) => each.spans))
      spans.push({ name, traceId, spanId, parentSpanId, instance, attributes: plain(attributes) });
  }
  for (const { scopeMetrics } of sent.resourceMetrics ?? [])
    for (const { name, sum, gauge, histogram } of scopeMetrics.flatMap((each) => each.metrics))
      if ((sum ?? gauge ?? histogram)?.dataPoints.length) metrics.add(name);
}

function plain(attributes: readonly Attribute[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}
