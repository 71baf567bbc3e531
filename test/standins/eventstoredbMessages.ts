/** The EventStoreDB stand-in's protobuf messages, to and from what its log keeps. */
import sharedPb from '@eventstore/db-client/generated/shared_pb.js';
import streamsPb from '@eventstore/db-client/generated/streams_pb.js';
import { Metadata, status } from '@grpc/grpc-js';
import type { Appended, Expected, ProposedEvent, StoredEvent } from './eventstoredbLog.ts';

/** A refusal as gRPC sends it. */
export interface Refused {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;
}

/** Bytes that one append may hold. */
export const MAX_APPEND_BYTES = 1_048_576;
/** The largest double below 2^64: the deprecated field holds -1 as an unsigned number, which JavaScript cannot. */
const MINUS_ONE_UNSIGNED = 18_446_744_073_709_549_568;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** With the trailers that clients read, such as `exception`. */
export function refused(code: status, details: string, trailers: Readonly<Record<string, string>> = {}): Refused {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(trailers)) metadata.set(name, value);
  return { code, details, metadata };
}

/** What the server says to a request that its code throws on. */
export function thrown(): Refused {
  return refused(status.UNKNOWN, 'Exception was thrown by handler.');
}

/** To whoever touches a tombstoned stream. */
export function streamDeleted(stream: string): Refused {
  const details = `Event stream '${stream}' is deleted.`;
  return refused(status.FAILED_PRECONDITION, details, { exception: 'stream-deleted', 'stream-name': stream });
}

/** To an append of more than MAX_APPEND_BYTES. */
export function appendTooLarge(): Refused {
  const trailers = { exception: 'maximum-append-size-exceeded', 'maximum-append-size': String(MAX_APPEND_BYTES) };
  return refused(status.INVALID_ARGUMENT, `Maximum Append Size of ${MAX_APPEND_BYTES} Exceeded.`, trailers);
}

/** To an event without its type or content type. */
export function propertyMissing(name: 'type' | 'content-type'): Refused {
  return refused(status.INVALID_ARGUMENT, `Required Metadata Property '${name}' is missing`, {
    exception: 'missing-required-metadata-property',
    'required-metadata-properties': 'type,content-type',
  });
}

/** To a deletion at another revision; the words of the protocol as its negative numbers. */
export function deleteConflict(stream: string, expected: Expected, current: bigint | null): Refused {
  const words = { no_stream: '-1', any: '-2', stream_exists: '-4' };
  const wanted = typeof expected === 'bigint' ? String(expected) : words[expected];
  const actual = String(current ?? -1n);
  const details = `Delete failed due to WrongExpectedVersion. Stream: ${stream}, Expected version: ${wanted}, Actual version: ${actual}`;
  return refused(status.FAILED_PRECONDITION, details, {
    exception: 'wrong-expected-version',
    'stream-name': stream,
    'expected-version': wanted,
    'actual-version': actual,
  });
}

/** The name in a request; empty where it gives none. */
export function streamName(identifier: sharedPb.StreamIdentifier | undefined): string {
  return Buffer.from(identifier?.getStreamName_asU8() ?? []).toString('utf8');
}

/** A name for an answer. */
export function streamIdentifier(name: string): sharedPb.StreamIdentifier {
  return new sharedPb.StreamIdentifier().setStreamName(Buffer.from(name, 'utf8'));
}

/** What appends and deletions expect; null where the request says nothing. */
export function expectedOf(
  options: streamsPb.AppendReq.Options | streamsPb.DeleteReq.Options | streamsPb.TombstoneReq.Options,
): Expected | null {
  if (options.hasRevision()) return BigInt(options.getRevision());
  if (options.hasNoStream()) return 'no_stream';
  if (options.hasAny()) return 'any';
  return options.hasStreamExists() ? 'stream_exists' : null;
}

/** An event of an append, or why it is refused. */
export function proposedOf(
  message: streamsPb.AppendReq.ProposedMessage | streamsPb.BatchAppendReq.ProposedMessage,
): ProposedEvent | Refused {
  const id = uuidOf(message.getId());
  if (!id) return thrown();
  const metadata = message.getMetadataMap();
  const [type, contentType] = [metadata.get('type'), metadata.get('content-type')];
  if (type === undefined) return propertyMissing('type');
  if (contentType === undefined) return propertyMissing('content-type');
  if (type === '') return thrown();
  const [data, custom] = [Buffer.from(message.getData_asU8()), Buffer.from(message.getCustomMetadata_asU8())];
  return { id, type, contentType, data, metadata: custom };
}

/** Whether the events of one append are too many bytes. */
export function tooLarge(events: readonly ProposedEvent[]): boolean {
  const bytes = events.map(({ type, data, metadata }) => data.length + metadata.length + 2 * type.length);
  return bytes.reduce((sum, one) => sum + one, 0) > MAX_APPEND_BYTES;
}

function uuidOf(uuid: sharedPb.UUID | undefined): string | null {
  const parts = uuid?.getStructured();
  if (!parts) return UUID.test(uuid?.getString() ?? '') ? (uuid?.getString().toLowerCase() ?? null) : null;
  const hex = [parts.getMostSignificantBits(), parts.getLeastSignificantBits()].map((bits) =>
    BigInt.asUintN(64, BigInt(bits)).toString(16).padStart(16, '0'),
  );
  return hex.join('').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** The answer to a unary append that was decided. */
export function appendAnswer(
  result: Exclude<Appended, { outcome: 'deleted' }>,
  expected: Expected,
): streamsPb.AppendResp {
  const answer = new streamsPb.AppendResp();
  if (result.outcome === 'wrongRevision') return answer.setWrongExpectedVersion(conflict(result.current, expected));
  const success = new streamsPb.AppendResp.Success();
  if (result.revision === null) success.setNoStream(new sharedPb.Empty());
  else success.setCurrentRevision(String(result.revision));
  if (result.position === null) return answer.setSuccess(success.setNoPosition(new sharedPb.Empty()));
  const position = new streamsPb.AppendResp.Position();
  position.setCommitPosition(String(result.position)).setPreparePosition(String(result.position));
  return answer.setSuccess(success.setPosition(position));
}

function conflict(current: bigint | null, expected: Expected): streamsPb.AppendResp.WrongExpectedVersion {
  const answer = new streamsPb.AppendResp.WrongExpectedVersion();
  const empty = new sharedPb.Empty();
  if (current === null) answer.setNoStream2060(empty).setCurrentNoStream(empty);
  else answer.setCurrentRevision2060(Number(current)).setCurrentRevision(String(current));
  if (expected === 'any') return answer.setAny2060(empty).setExpectedAny(empty);
  if (expected === 'stream_exists') return answer.setStreamExists2060(empty).setExpectedStreamExists(empty);
  if (expected === 'no_stream') return answer.setExpectedRevision2060(MINUS_ONE_UNSIGNED).setExpectedNoStream(empty);
  return answer.setExpectedRevision2060(Number(expected)).setExpectedRevision(String(expected));
}

/** An event as readers and subscribers get it. */
export function eventAnswer(event: StoredEvent): streamsPb.ReadResp {
  const recorded = new streamsPb.ReadResp.ReadEvent.RecordedEvent();
  const position = String(event.position);
  recorded.setId(new sharedPb.UUID().setString(event.id)).setStreamIdentifier(streamIdentifier(event.stream));
  recorded.setStreamRevision(String(event.revision)).setCommitPosition(position).setPreparePosition(position);
  recorded.setData(event.data).setCustomMetadata(event.metadata);
  const metadata = recorded.getMetadataMap();
  metadata.set('type', event.type).set('content-type', event.contentType).set('created', event.created);
  const read = new streamsPb.ReadResp.ReadEvent().setEvent(recorded).setCommitPosition(position);
  return new streamsPb.ReadResp().setEvent(read);
}
