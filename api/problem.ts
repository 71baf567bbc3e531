/** Every error as RFC 9457 `application/problem+json`. The only file that knows which HTTP status a refusal is. */
import { z } from 'zod';
import {
  Refusal,
  type RefusalCode,
  type RefusalIssue,
  UnknownOutcome,
  WrongExpectedRevision,
} from '../domain/refusal.ts';

/** What only HTTP can refuse, beside the words of the core. */
export type ProblemCode = RefusalCode | 'method-not-allowed' | 'unsupported-media-type';

/** A request whose method or media type is turned down. @param headers sent with the answer, e.g. `Allow`. */
export class ProtocolRefusal extends Error {
  readonly code: 'method-not-allowed' | 'unsupported-media-type';
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ProtocolRefusal['code'], detail: string, headers: Readonly<Record<string, string>> = {}) {
    super(detail);
    this.name = 'ProtocolRefusal';
    this.code = code;
    this.headers = headers;
  }
}

interface Kind {
  readonly status: number;
  readonly title: string;
  /** For the docs page: what to do. */
  readonly advice: string;
}

export const problemKinds: Readonly<Record<ProblemCode, Kind>> = {
  invalid: {
    status: 400,
    title: 'The request is not valid',
    advice:
      'Correct what `errors` points at; a `pointer` is a JSON pointer into the body, or query/…, path/…, header/….',
  },
  unauthenticated: {
    status: 401,
    title: 'A valid token is needed',
    advice: 'Send `Authorization: Bearer <token>`; get a new token when the old one has expired.',
  },
  forbidden: {
    status: 403,
    title: 'Your role does not allow this',
    advice: 'Ask an administrator of the project for a role that includes the action.',
  },
  'not-found': {
    status: 404,
    title: 'There is no such resource',
    advice: 'Check the path and the id. What your role may not read answers the same.',
  },
  'method-not-allowed': {
    status: 405,
    title: 'The resource does not have this method',
    advice: 'Use one of the methods in the `Allow` header.',
  },
  conflict: {
    status: 409,
    title: 'The state of the resource does not allow this',
    advice: 'Read the resource again and decide whether the request still makes sense.',
  },
  'in-flight': {
    status: 409,
    title: 'The same request is being worked on',
    advice: 'Wait for `Retry-After` and repeat it with the same Idempotency-Key.',
  },
  'revision-mismatch': {
    status: 412,
    title: 'The resource has changed since you read it',
    advice: 'Read it again (`actualRevision` says where it is) and send the new ETag as If-Match.',
  },
  'too-large': { status: 413, title: 'The request is too large', advice: 'Send less, or in several requests.' },
  'unsupported-media-type': {
    status: 415,
    title: 'The media type is not supported',
    advice: 'Send the body as `Content-Type: application/json`, in UTF-8, without Content-Encoding.',
  },
  'key-reused': {
    status: 422,
    title: 'The Idempotency-Key belongs to another request',
    advice: 'Use a new key for a new request; keys never expire.',
  },
  'rate-limited': { status: 429, title: 'Too many requests', advice: 'Wait for `Retry-After`, then go slower.' },
  internal: {
    status: 500,
    title: 'Something went wrong on our side',
    advice: 'Tell the operator the requestId: the log has the cause under it.',
  },
  unavailable: {
    status: 503,
    title: 'The service cannot answer now',
    advice: 'Repeat after `Retry-After`, a write with the same Idempotency-Key: it is never done twice.',
  },
  'projection-behind': {
    status: 503,
    title: 'What you wrote cannot be read yet',
    advice: 'Repeat after `Retry-After`, or wait longer with `Prefer: wait=N`.',
  },
};

export const problemCodes = Object.keys(problemKinds) as [ProblemCode, ...ProblemCode[]];

export const problemSchema = z
  .strictObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string(),
    code: z.enum(problemCodes),
    requestId: z.string(),
    retryable: z.boolean(),
    errors: z.array(z.strictObject({ pointer: z.string(), code: z.string(), detail: z.string() })),
    actualRevision: z.int().optional(),
  })
  .meta({ id: 'Problem', description: 'RFC 9457 problem details' });
export type Problem = z.infer<typeof problemSchema>;

export interface ProblemAnswer {
  readonly problem: Problem;
  readonly headers: Readonly<Record<string, string>>;
  /** Nobody foresaw it, or the service is at fault: the cause belongs in the log. */
  readonly ours: boolean;
}

/**
 * @param error whatever was thrown. What is not known is answered as `internal`, without a word of what it said.
 * @param at `instance`: the request's path; `requestId`: as sent in the Request-Id header.
 */
export function problemOf(error: unknown, at: { instance: string; requestId: string }): ProblemAnswer {
  const known = knownRefusal(error);
  const kind = problemKinds[known.code];
  const { actualRevision } = known;
  const problem: Problem = {
    type: `/docs/problems#${known.code}`,
    title: kind.title,
    status: kind.status,
    detail: known.message,
    instance: at.instance,
    code: known.code,
    requestId: at.requestId,
    retryable: known instanceof Refusal && known.retryable,
    errors:
      known instanceof Refusal ? known.issues.map(({ pointer, code, detail }) => ({ pointer, code, detail })) : [],
    ...(actualRevision === undefined ? {} : { actualRevision }),
  };
  return { problem, headers: headersOf(known), ours: kind.status >= 500 };
}

type Known = (Refusal | ProtocolRefusal) & { readonly actualRevision?: number | undefined };

function knownRefusal(error: unknown): Known {
  if (error instanceof Refusal)
    // What the core calls internal was written for the log, not for strangers.
    return error.code === 'internal' ? internal(error) : error;
  if (error instanceof ProtocolRefusal) return error;
  if (error instanceof WrongExpectedRevision)
    return new Refusal('conflict', 'the resource changed at the same moment; read it again', {
      retryable: true,
      ...(error.actual === undefined ? {} : { actualRevision: error.actual }),
    });
  if (error instanceof UnknownOutcome)
    return new Refusal('unavailable', 'it is not known whether this was done; repeat it with the same Idempotency-Key');
  return fromExpress(error) ?? internal(error);
}

function internal(cause: unknown): Refusal {
  return new Refusal('internal', 'something went wrong on our side; the request id leads to the cause', { cause });
}

/** Errors of express, its router and body-parser: `http-errors` with `status` and, from body-parser, `type`. */
function fromExpress(error: unknown): Refusal | ProtocolRefusal | null {
  if (!(error instanceof Error) || !('status' in error) || typeof error.status !== 'number') return null;
  const type = 'type' in error ? error.type : undefined;
  if (type === 'entity.too.large') return new Refusal('too-large', 'the body is larger than this route takes');
  if (type === 'encoding.unsupported')
    return new ProtocolRefusal('unsupported-media-type', 'send the body without Content-Encoding');
  if (type === 'request.size.invalid')
    return new Refusal('invalid', 'the body does not have the length its Content-Length says');
  if (type === 'request.aborted') return new Refusal('invalid', 'the body ended early');
  if (error.status === 415) return new ProtocolRefusal('unsupported-media-type', 'send the body as application/json');
  if (error.status === 413) return new Refusal('too-large', 'the request is too large');
  if (error.status === 404) return new Refusal('not-found', 'there is nothing at this path');
  if (error.status >= 400 && error.status < 500)
    return new Refusal('invalid', 'the request could not be read; check the encoding of its path');
  return null;
}

/** Without a better number: long enough not to hammer, short enough not to be noticed. */
const RETRY_AFTER_MS = 1_000;

function headersOf(known: Known): Record<string, string> {
  if (known instanceof ProtocolRefusal) return { ...known.headers };
  const headers: Record<string, string> = {};
  const retryAfterMs =
    known.retryAfterMs ?? (known.retryable && known.code !== 'conflict' ? RETRY_AFTER_MS : undefined);
  if (retryAfterMs !== undefined) headers['Retry-After'] = String(Math.max(1, Math.ceil(retryAfterMs / 1000)));
  // RFC 6750 §3.1: no error code when no credentials were sent at all.
  if (known.code === 'unauthenticated')
    headers['WWW-Authenticate'] = `Bearer realm="colloquy"${known.issues.length > 0 ? ', error="invalid_token"' : ''}`;
  return headers;
}

/** Where in the request a value was: the prefix of its pointers. Body pointers are plain JSON pointers. */
export type Place = 'body' | 'query' | 'path';

const MAX_ISSUES = 50;
const MAX_DETAIL = 300;

/** zod's issues as ours, at most 50. Keys that do not belong each get their own pointer. */
export function issuesOf(error: z.ZodError, place: Place): RefusalIssue[] {
  return error.issues.flatMap((issue) => leaves(issue, [], place)).slice(0, MAX_ISSUES);
}

function leaves(issue: z.core.$ZodIssue, above: readonly PropertyKey[], place: Place): RefusalIssue[] {
  const path = [...above, ...issue.path];
  const code = issue.code.replaceAll('_', '-');
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({
      pointer: pointer([...path, key], place),
      code: 'unrecognized-key',
      detail: 'is not a field of this request',
    }));
  const branch = issue.code === 'invalid_union' ? nearestBranch(issue.errors) : undefined;
  if (branch) return branch.flatMap((inner) => leaves(inner, path, place));
  return [{ pointer: pointer(path, place), code, detail: issue.message.slice(0, MAX_DETAIL) }];
}

/** Of a union's alternatives the one that was meant: whose complaints lie deepest. None when no one got past its type. */
function nearestBranch(branches: readonly (readonly z.core.$ZodIssue[])[]): readonly z.core.$ZodIssue[] | undefined {
  const inside = branches.filter((issues) =>
    issues.every((issue) => issue.path.length > 0 || issue.code !== 'invalid_type'),
  );
  return inside.toSorted((a, b) => a.length - b.length)[0];
}

function pointer(path: readonly PropertyKey[], place: Place): string {
  const steps = path.map((key) => String(key).slice(0, 200).replaceAll('~', '~0').replaceAll('/', '~1'));
  return place === 'body' ? steps.map((step) => `/${step}`).join('') : [place, ...steps].join('/');
}
