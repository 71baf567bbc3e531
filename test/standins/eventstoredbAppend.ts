/** Append, Delete and Tombstone of the EventStoreDB stand-in. */
import streamsPb from '@eventstore/db-client/generated/streams_pb.js';
import { type sendUnaryData, type ServerReadableStream, type ServerUnaryCall, status } from '@grpc/grpc-js';
import type { Appended, Expected, ProposedEvent } from './eventstoredbLog.ts';
import {
  appendAnswer,
  appendTooLarge,
  deleteConflict,
  expectedOf,
  proposedOf,
  type Refused,
  refused,
  streamDeleted,
  streamName,
  thrown,
  tooLarge,
} from './eventstoredbMessages.ts';
import { receive, release, track, type World } from './eventstoredbWorld.ts';

/** Collects the messages of one append; the answer comes with their end, or at once when one is refused. */
export function serveAppend(
  world: World,
  call: ServerReadableStream<streamsPb.AppendReq, streamsPb.AppendResp>,
  callback: sendUnaryData<streamsPb.AppendResp>,
): void {
  const open = track(world, call, 'openCalls');
  const reception = receive(world, 'append', call);
  const messages: streamsPb.AppendReq[] = [];
  const answer: typeof callback = (error, value) => {
    open.ended();
    callback(error, value);
  };
  call.on('data', (message: streamsPb.AppendReq) => void messages.push(message));
  call.on('error', () => open.ended());
  if (reception === 'swallow') return;
  if (reception !== 'serve') return answer(reception);
  // A connection that dies ends its requests, too, and says only then that they were cancelled.
  call.on('end', () => setImmediate(written));
  const written = (): void => {
    if (call.cancelled) return;
    const request = appendRequest(messages);
    if ('code' in request) return answer(request);
    const result = world.log.append(request.stream, request.expected, request.events);
    release(world, () => {
      if (result.outcome === 'deleted') answer(streamDeleted(request.stream));
      else answer(null, appendAnswer(result, request.expected));
    });
  };
}

function appendRequest(
  messages: readonly streamsPb.AppendReq[],
): { stream: string; expected: Expected; events: ProposedEvent[] } | Refused {
  const options = messages[0]?.getOptions();
  const stream = streamName(options?.getStreamIdentifier());
  if (!options || stream === '') return thrown();
  const expected = expectedOf(options);
  if (expected === null) {
    const kind = 'EventStore.Client.Streams.AppendReq+Types+Options+ExpectedStreamRevisionOneofCase';
    return refused(status.INVALID_ARGUMENT, `'None' is not a valid ${kind}`);
  }
  const events: ProposedEvent[] = [];
  for (const message of messages.slice(1)) {
    const proposed = message.getProposedMessage();
    if (!proposed) return thrown();
    const event = proposedOf(proposed);
    if ('code' in event) return event;
    events.push(event);
  }
  return tooLarge(events) ? appendTooLarge() : { stream, expected, events };
}

/** Deletes softly: the stream may come back. */
export function serveDelete(
  world: World,
  call: ServerUnaryCall<streamsPb.DeleteReq, streamsPb.DeleteResp>,
  callback: sendUnaryData<streamsPb.DeleteResp>,
): void {
  serveRemoval(world, call, 'soft', (error, position) => {
    if (error || position === null) return callback(error);
    const place = new streamsPb.DeleteResp.Position().setCommitPosition(position).setPreparePosition(position);
    callback(null, new streamsPb.DeleteResp().setPosition(place));
  });
}

/** Deletes for ever. */
export function serveTombstone(
  world: World,
  call: ServerUnaryCall<streamsPb.TombstoneReq, streamsPb.TombstoneResp>,
  callback: sendUnaryData<streamsPb.TombstoneResp>,
): void {
  serveRemoval(world, call, 'hard', (error, position) => {
    if (error || position === null) return callback(error);
    const place = new streamsPb.TombstoneResp.Position().setCommitPosition(position).setPreparePosition(position);
    callback(null, new streamsPb.TombstoneResp().setPosition(place));
  });
}

function serveRemoval(
  world: World,
  call:
    | ServerUnaryCall<streamsPb.DeleteReq, streamsPb.DeleteResp>
    | ServerUnaryCall<streamsPb.TombstoneReq, streamsPb.TombstoneResp>,
  how: 'soft' | 'hard',
  callback: (error: Refused | null, position: string | null) => void,
): void {
  const open = track(world, call, 'openCalls');
  const answer: typeof callback = (error, position) => {
    open.ended();
    callback(error, position);
  };
  const reception = receive(world, how === 'soft' ? 'delete' : 'tombstone', call);
  if (reception === 'swallow') return;
  if (reception !== 'serve') return answer(reception, null);
  const options = call.request.getOptions();
  const stream = streamName(options?.getStreamIdentifier());
  const expected = options ? expectedOf(options) : null;
  if (expected === null || stream === '') return answer(thrown(), null);
  const result: Appended = world.log.remove(stream, expected, how);
  release(world, () => {
    if (result.outcome === 'deleted') answer(streamDeleted(stream), null);
    else if (result.outcome === 'wrongRevision') answer(deleteConflict(stream, expected, result.current), null);
    else answer(null, String(result.position));
  });
}
