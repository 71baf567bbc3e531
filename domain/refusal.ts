/** The words in which the core refuses; only `api/problem.ts` knows which HTTP status each one is. */
export type RefusalCode =
  | 'invalid'
  | 'not-found'
  | 'conflict'
  | 'revision-mismatch'
  | 'forbidden'
  | 'unauthenticated'
  | 'rate-limited'
  | 'too-large'
  | 'unavailable'
  | 'projection-behind'
  | 'key-reused'
  | 'in-flight'
  | 'internal';

export interface RefusalIssue {
  /** JSON pointer into the request body, or `query/<name>`. */
  readonly pointer: string;
  readonly code: string;
  readonly detail: string;
}

export interface RefusalOptions {
  readonly issues?: readonly RefusalIssue[];
  /** Whether the identical request may succeed later. */
  readonly retryable?: boolean;
  readonly retryAfterMs?: number;
  /** For `revision-mismatch` and `conflict`: where the stream really is. */
  readonly actualRevision?: number;
  readonly cause?: unknown;
}

/** A request that is turned down: a caller's mistake or a state that forbids it. Nothing was written. */
export class Refusal extends Error {
  readonly code: RefusalCode;
  readonly issues: readonly RefusalIssue[];
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  readonly actualRevision: number | undefined;

  /** @param detail one sentence for a person, saying what to do next; never a secret, a path or SQL. */
  constructor(code: RefusalCode, detail: string, options: RefusalOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Refusal';
    this.code = code;
    this.issues = options.issues ?? [];
    this.retryable =
      options.retryable ?? (code === 'unavailable' || code === 'projection-behind' || code === 'in-flight');
    this.retryAfterMs = options.retryAfterMs;
    this.actualRevision = options.actualRevision;
  }
}

/** The stream is not at the revision the append expected; nothing was written. */
export class WrongExpectedRevision extends Error {
  readonly stream: string;
  readonly expected: number;
  /** −1 when the stream does not exist; undefined when the log does not say. */
  readonly actual: number | undefined;

  constructor(stream: string, expected: number, actual: number | undefined) {
    super(`${stream} was expected at revision ${expected} but is at ${actual ?? 'another one'}`);
    this.name = 'WrongExpectedRevision';
    this.stream = stream;
    this.expected = expected;
    this.actual = actual;
  }
}

/**
 * A call whose effect is not known: it timed out or its connection broke after it was sent. The caller repeats the
 * identical batch at the identical revision, which an event store answers with the first outcome.
 */
export class UnknownOutcome extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'UnknownOutcome';
  }
}
