/** What EventStoreDB's client rejects with, in the words of the port. */
import { Refusal, UnknownOutcome, WrongExpectedRevision } from '../domain/refusal.ts';
import { TimeUp } from './eventstoredbConnection.ts';

const RETRY_AFTER_MS = 1_000;
const DENIED =
  'EventStoreDB refused access: check the user and password of its URL, and let an administrator grant the group ' +
  `reading of $all once: setStreamMetadata('$all', {acl: {readRoles: ['$admins', 'colloquy']}})`;
/** The client had no connection to send on. */
const NOTHING_SENT = /No connection established|Name resolution failed|Failed to discover|ECONNREFUSED/;

/** The kind of a client's error, such as `wrong-expected-version`; null when it has none. */
export function kindOf(error: unknown): string | null {
  const kind: unknown = error instanceof Error ? Reflect.get(error, 'type') : null;
  return typeof kind === 'string' ? kind : null;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Whether a position is none of the log's: the server reads from the ends of its events only. */
export function isBadPosition(error: unknown): boolean {
  return messageOf(error).includes('InvalidPosition');
}

/**
 * What a failed append rejects with. Where the server surely wrote nothing it is a refusal; anything else leaves the
 * outcome unknown, and the identical batch may be sent again.
 */
export function appendFailure(error: unknown, stream: string, expected: number): Error {
  const refused = refusalOf(error, stream);
  if (refused !== null) return refused;
  if (kindOf(error) === 'wrong-expected-version')
    return new WrongExpectedRevision(stream, expected, revisionOf(Reflect.get(Object(error), 'actualVersion')));
  if (NOTHING_SENT.test(messageOf(error))) return unavailable('EventStoreDB cannot be reached', error);
  return new UnknownOutcome(
    error instanceof TimeUp ? error.message : 'EventStoreDB did not say whether it has written',
    error,
  );
}

/** What a failed read is called: always a refusal, since it had no effect. */
export function readFailure(error: unknown, stream = 'the log'): Refusal {
  if (error instanceof Refusal) return error;
  const refused = refusalOf(error, stream);
  if (refused !== null) return refused;
  if (isBadPosition(error)) return new Refusal('invalid', 'the position is none of this log: no event ends there');
  if (NOTHING_SENT.test(messageOf(error))) return unavailable('EventStoreDB cannot be reached', error);
  return unavailable('EventStoreDB does not answer now', error);
}

function refusalOf(error: unknown, stream: string): Refusal | null {
  const kind = kindOf(error);
  if (kind === 'access-denied') return new Refusal('unavailable', DENIED, { retryable: false, cause: error });
  if (kind === 'maximum-append-size-exceeded')
    return new Refusal(
      'too-large',
      'the append is larger than this EventStoreDB takes: raise its MaxAppendSize to 1 MiB',
    );
  if (kind === 'stream-deleted')
    return new Refusal('internal', `${stream} was tombstoned on the server: it cannot be read or written any more`);
  if (kind === 'not-leader') return unavailable('the leader of the EventStoreDB cluster has changed', error);
  return null;
}

/** A refusal that may be tried again. */
export function unavailable(detail: string, cause?: unknown): Refusal {
  return new Refusal('unavailable', detail, { retryAfterMs: RETRY_AFTER_MS, cause });
}

/** The client gives a bigint or a word; only `no_stream` says where the stream is. */
function revisionOf(actual: unknown): number | undefined {
  if (typeof actual === 'bigint') return Number(actual);
  return actual === 'no_stream' ? -1 : undefined;
}
