/** BatchAppend of the EventStoreDB stand-in: many appends on one call, each answered in a message of its own. */
import codePb from '@eventstore/db-client/generated/code_pb.js';
import sharedPb from '@eventstore/db-client/generated/shared_pb.js';
import statusPb from '@eventstore/db-client/generated/status_pb.js';
import streamsPb from '@eventstore/db-client/generated/streams_pb.js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import anyPb from 'google-protobuf/google/protobuf/any_pb.js';
import emptyPb from 'google-protobuf/google/protobuf/empty_pb.js';
import type { Appended, Expected, ProposedEvent } from './eventstoredbLog.ts';
import { MAX_APPEND_BYTES, proposedOf, streamIdentifier, streamName, tooLarge } from './eventstoredbMessages.ts';
import { receive, release, track, type World } from './eventstoredbWorld.ts';

/** Appending takes no time here: a deadline that passed on the way counts as met, as a real server meets one of 1 ms. */
const DEADLINE_GRACE_MS = 10_000;

type Request = streamsPb.BatchAppendReq;
type Answer = streamsPb.BatchAppendResp;
type Result = Answer | statusPb.Status;

/** Events of the chunks that came so far, by correlation id. */
type Pending = Map<
  string,
  { readonly options: streamsPb.BatchAppendReq.Options; events: ReturnType<typeof proposedOf>[] }
>;

/** Serves a batch stream until either side ends it. */
export function serveBatchAppend(world: World, call: ServerDuplexStream<Request, Answer>): void {
  const open = track(world, call, 'openCalls');
  const pending: Pending = new Map();
  call.on('data', (chunk: Request) => serveChunk(world, call, pending, chunk));
  call.on('error', () => open.ended());
  call.on('end', () => {
    open.ended();
    call.end();
  });
}

function serveChunk(world: World, call: ServerDuplexStream<Request, Answer>, pending: Pending, chunk: Request): void {
  const id = chunk.getCorrelationId();
  const key = JSON.stringify(id?.toObject());
  const options = chunk.getOptions() ?? pending.get(key)?.options;
  if (!options) return;
  const events = [...(pending.get(key)?.events ?? []), ...chunk.getProposedMessagesList().map(proposedOf)];
  pending.set(key, { options, events });
  if (!chunk.getIsFinal()) return;
  pending.delete(key);
  const stream = streamName(options.getStreamIdentifier());
  const answer = (result: Result): void => {
    const message = 'getDetails' in result ? new streamsPb.BatchAppendResp().setError(result) : result;
    message.setStreamIdentifier(streamIdentifier(stream)).setCorrelationId(id);
    if (!call.cancelled) call.write(message);
  };
  const reception = receive(world, 'batchAppend', call);
  if (reception === 'swallow') return;
  if (reception !== 'serve') {
    if (world.faults.on('notLeader')) call.emit('error', reception);
    else answer(failure(codePb.Code.UNAVAILABLE, reception.details, 'google.protobuf.Empty', new emptyPb.Empty()));
    return;
  }
  const checked = check(stream, options, events);
  if (!Array.isArray(checked)) return answer(checked);
  const expected = expectedOf(options);
  const result = world.log.append(stream, expected, checked);
  if (world.faults.use('halfClose')) call.end();
  else release(world, () => answer(resultOf(result, stream, expected)));
}

function check(
  stream: string,
  options: streamsPb.BatchAppendReq.Options,
  events: readonly ReturnType<typeof proposedOf>[],
): ProposedEvent[] | statusPb.Status {
  if (stream === '') return badRequest('eventStreamId');
  const deadline = options.getDeadline();
  if (deadline && deadline.toDate().getTime() < Date.now() - DEADLINE_GRACE_MS)
    return failure(codePb.Code.DEADLINE_EXCEEDED, 'Timeout', 'event_store.client.Timeout', new sharedPb.Timeout());
  const sound = events.flatMap((event) => ('code' in event ? [] : [event]));
  if (sound.length < events.length) return badRequest('The given key was not present in the dictionary.');
  if (!tooLarge(sound)) return sound;
  const details = new sharedPb.MaximumAppendSizeExceeded().setMaxappendsize(MAX_APPEND_BYTES);
  const type = 'event_store.client.MaximumAppendSizeExceeded';
  return failure(codePb.Code.INVALID_ARGUMENT, 'MaximumAppendSizeExceeded', type, details);
}

function expectedOf(options: streamsPb.BatchAppendReq.Options): Expected {
  if (options.hasStreamPosition()) return BigInt(options.getStreamPosition());
  if (options.hasNoStream()) return 'no_stream';
  return options.hasStreamExists() ? 'stream_exists' : 'any';
}

function resultOf(result: Appended, stream: string, expected: Expected): Result {
  if (result.outcome === 'deleted') {
    const details = new sharedPb.StreamDeleted().setStreamIdentifier(streamIdentifier(stream));
    return failure(codePb.Code.NOT_FOUND, 'StreamDeleted', 'event_store.client.StreamDeleted', details);
  }
  if (result.outcome === 'wrongRevision') {
    const details = conflict(result.current, expected);
    const type = 'event_store.client.WrongExpectedVersion';
    return failure(codePb.Code.ALREADY_EXISTS, 'WrongExpectedVersion', type, details);
  }
  const success = new streamsPb.BatchAppendResp.Success();
  if (result.revision === null) success.setNoStream(new emptyPb.Empty());
  else success.setCurrentRevision(String(result.revision));
  if (result.position === null) success.setNoPosition(new emptyPb.Empty());
  else {
    const position = String(result.position);
    success.setPosition(new sharedPb.AllStreamPosition().setCommitPosition(position).setPreparePosition(position));
  }
  return new streamsPb.BatchAppendResp().setSuccess(success);
}

function conflict(current: bigint | null, expected: Expected): sharedPb.WrongExpectedVersion {
  const answer = new sharedPb.WrongExpectedVersion();
  const empty = new emptyPb.Empty();
  if (current === null) answer.setCurrentNoStream(empty);
  else answer.setCurrentStreamRevision(String(current));
  if (expected === 'any') return answer.setExpectedAny(empty);
  if (expected === 'stream_exists') return answer.setExpectedStreamExists(empty);
  if (expected === 'no_stream') return answer.setExpectedNoStream(empty);
  return answer.setExpectedStreamPosition(String(expected));
}

function badRequest(message: string): statusPb.Status {
  const details = new sharedPb.BadRequest().setMessage(message);
  return failure(codePb.Code.INVALID_ARGUMENT, 'BadRequest', 'event_store.client.BadRequest', details);
}

function failure(
  code: codePb.Code,
  message: string,
  type: string,
  details: { serializeBinary(): Uint8Array },
): statusPb.Status {
  const any = new anyPb.Any();
  any.pack(details.serializeBinary(), type);
  return new statusPb.Status().setCode(code).setMessage(message).setDetails(any);
}
