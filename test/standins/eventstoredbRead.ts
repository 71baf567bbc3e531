/** Reads of the EventStoreDB stand-in: a stream or $all, forwards or backwards; subscriptions are handed on. */
import streamsPb from '@eventstore/db-client/generated/streams_pb.js';
import { type ServerWritableStream, status } from '@grpc/grpc-js';
import { type EventFilter, filterOf } from './eventstoredbFilter.ts';
import type { StoredEvent } from './eventstoredbLog.ts';
import {
  eventAnswer,
  type Refused,
  refused,
  streamDeleted,
  streamIdentifier,
  streamName,
  thrown,
} from './eventstoredbMessages.ts';
import { type Start, subscribe } from './eventstoredbSubscribe.ts';
import { receive, track, type World } from './eventstoredbWorld.ts';

export type ReadCall = ServerWritableStream<streamsPb.ReadReq, streamsPb.ReadResp>;
type Answers = Iterable<streamsPb.ReadResp>;

/** Answers a read and ends, or follows the log until the caller cancels. */
export async function serveRead(world: World, call: ReadCall): Promise<void> {
  const options = call.request.getOptions() ?? new streamsPb.ReadReq.Options();
  const following = options.hasSubscription();
  const open = [track(world, call, 'openCalls')];
  if (following) open.push(track(world, call, 'openSubscriptions'));
  const reception = receive(world, following ? 'subscribe' : 'read', call);
  if (reception === 'swallow') return;
  const end = (error?: Refused): void => {
    for (const one of open) one.ended();
    if (error) call.emit('error', error);
    else call.end();
  };
  if (reception !== 'serve') return end(reception);
  try {
    const request = requestOf(world, options);
    if ('code' in request) return end(request);
    if (following) return end(await subscribe(world, call, request));
    if (Number(options.getCount()) === 0) {
      const result = request.all ? 'ReadAllResult' : 'ReadStreamResult';
      return end(refused(status.UNKNOWN, `Unexpected ${result}: Error`));
    }
    for (const answer of request.all ? readAll(world, options, request) : readStream(world, options, request)) {
      if (call.cancelled) return;
      if (!call.write(answer)) await drained(call);
    }
    end();
  } catch {
    end(thrown());
  }
}

/** Resolves when the caller takes more, or is gone. */
export function drained(call: ReadCall): Promise<void> {
  const events = ['drain', 'cancelled', 'close', 'error'];
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of events) call.off(event, done);
      resolve();
    };
    for (const event of events) call.on(event, done);
  });
}

/** Where a read or subscription begins and what it wants. */
export interface ReadRequest {
  /** Empty for $all. */
  readonly stream: string;
  readonly all: boolean;
  readonly start: Start;
  readonly filter: EventFilter | null;
}

function requestOf(world: World, options: streamsPb.ReadReq.Options): ReadRequest | Refused {
  const stream = options.getStream();
  const filter = filterOf(options);
  if (stream) {
    const name = streamName(stream.getStreamIdentifier());
    const revision = stream.hasRevision() ? BigInt(stream.getRevision()) : null;
    const start = revision ?? (stream.hasEnd() ? 'end' : 'start');
    if (name === '') return thrown();
    return world.log.view(name).state === 'deleted' ? streamDeleted(name) : { stream: name, all: false, start, filter };
  }
  const all = options.getAll();
  const position = all?.getPosition();
  if (!all || (options.hasSubscription() && filter?.multiplier === 0)) return thrown();
  if (!position) return { stream: '', all: true, start: all.hasEnd() ? 'end' : 'start', filter };
  const commit = BigInt(position.getCommitPosition());
  if (BigInt(position.getPreparePosition()) > commit) return thrown();
  const known = commit >= BigInt(world.log.end()) || world.log.find(Number(commit)).exact;
  if (!known) return refused(status.UNKNOWN, 'Unexpected ReadAllResult: InvalidPosition');
  return { stream: '', all: true, start: commit, filter };
}

function isBackwards(options: streamsPb.ReadReq.Options): boolean {
  return options.getReadDirection() === streamsPb.ReadReq.Options.ReadDirection.BACKWARDS;
}

function* readStream(world: World, options: streamsPb.ReadReq.Options, request: ReadRequest): Answers {
  const view = world.log.view(request.stream);
  if (view.state !== 'there') {
    const missing = new streamsPb.ReadResp.StreamNotFound().setStreamIdentifier(streamIdentifier(request.stream));
    yield new streamsPb.ReadResp().setStreamNotFound(missing);
    return;
  }
  const backwards = isBackwards(options);
  const from = request.start === 'end' ? view.last : request.start === 'start' ? 0n : request.start;
  const wanted = (event: StoredEvent): boolean => (backwards ? event.revision <= from : event.revision >= from);
  const events = (backwards ? view.events.toReversed() : view.events)
    .filter(wanted)
    .slice(0, Number(options.getCount()));
  const compatible = (options.getControlOption()?.getCompatibility() ?? 0) >= 1;
  if (compatible && !backwards && events.length === 0 && from !== view.last + 1n)
    yield new streamsPb.ReadResp().setFirstStreamPosition(String(view.last + 1n));
  for (const event of events) yield eventAnswer(event);
  if (compatible) yield new streamsPb.ReadResp().setLastStreamPosition(String(view.last));
}

function* readAll(world: World, options: streamsPb.ReadReq.Options, request: ReadRequest): Answers {
  const { records } = world.log;
  const backwards = isBackwards(options);
  const step = backwards ? -1 : 1;
  const { start } = request;
  const first = start === 'end' ? records.length : start === 'start' ? 0 : world.log.find(Number(start)).index;
  let left = Number(options.getCount());
  for (let index = backwards ? first - 1 : first; index >= 0 && index < records.length && left > 0; index += step) {
    const event = records[index]?.event;
    if (!event || request.filter?.matches(event) === false) continue;
    left -= 1;
    yield eventAnswer(event);
  }
}
