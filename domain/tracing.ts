/** Where time went, over processes: spans as the W3C and OpenTelemetry name them. Never what was said. */

export type Attributes = Readonly<Record<string, string | number | boolean | readonly string[]>>;

export interface SpanOptions {
  /** The traceparent that it continues; without one a new trace begins. */
  readonly parent?: string | undefined;
  readonly kind?: 'server' | 'client' | 'consumer' | 'internal';
  readonly attributes?: Attributes;
  /** Traceparents of what else led to it. */
  readonly links?: readonly string[];
}

export interface Span {
  /** What others continue. Where nothing is traced it is the parent's own, so a caller's context is passed on all the same. */
  readonly traceparent: string | undefined;
  /** For what is known only at its end. */
  rename(name: string): void;
  set(attributes: Attributes): void;
  /** Only the first call counts. @param failure a short code of why it failed, never a message. */
  end(failure?: string): void;
}

/** Never throws. */
export interface Tracer {
  begin(name: string, options?: SpanOptions): Span;
}

const nothing = (): void => undefined;

/** Traces nothing. */
export const noTracer: Tracer = {
  begin: (_name, { parent, links } = {}) => ({
    traceparent: parent ?? links?.[0],
    rename: nothing,
    set: nothing,
    end: nothing,
  }),
};

/** Does work inside a span; it fails with the work. @param codeOf what an error is called. */
export async function inSpan<T>(span: Span, work: (span: Span) => Promise<T>, codeOf = failureCode): Promise<T> {
  try {
    const result = await work(span);
    span.end();
    return result;
  } catch (error) {
    span.end(codeOf(error));
    throw error;
  }
}

/** The code of a refusal, else the class of the error: texts of errors may hold what was said. */
export function failureCode(error: unknown): string {
  if (!(error instanceof Error)) return 'error';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}
