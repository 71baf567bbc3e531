/** What a recorded case of EventStoreDB's protocol sends, as protobuf messages. */
import sharedPb from '@eventstore/db-client/generated/shared_pb.js';
import streamsPb from '@eventstore/db-client/generated/streams_pb.js';
import emptyPb from 'google-protobuf/google/protobuf/empty_pb.js';
import timestampPb from 'google-protobuf/google/protobuf/timestamp_pb.js';
import { z } from 'zod';
import { streamIdentifier } from './eventstoredbMessages.ts';

const eventSchema = z.object({
  id: z.string().optional(),
  type: z.string().optional(),
  contentType: z.string().optional(),
  data: z.string().default(''),
  dataBytes: z.number().optional(),
  metadata: z.string().default(''),
});
const expectedSchema = z.union([z.number(), z.string()]).optional();
const placeSchema = z.union([z.number(), z.string()]);
const appendSchema = z.object({ stream: z.string(), expected: expectedSchema, events: z.array(eventSchema) });
const chunkSchema = z.object({
  correlationId: z.string(),
  isFinal: z.boolean(),
  stream: z.string().optional(),
  expected: expectedSchema,
  events: z.array(eventSchema),
  deadlineSeconds: z.number().optional(),
});
const filterSchema = z.object({
  on: z.string().optional(),
  regex: z.string().default(''),
  prefix: z.array(z.string()).default([]),
  max: z.number().optional(),
  every: z.number().default(1),
});
/** `sent` of every kind of case. */
export const sentSchema = z.object({
  call: z.string(),
  stream: z.string().default(''),
  all: z.boolean().default(false),
  expected: expectedSchema,
  events: z.array(eventSchema).default([]),
  withoutOptionsMessage: z.boolean().default(false),
  deadlineMs: z.number().optional(),
  requiresLeader: z.boolean().default(false),
  auth: z.string().optional(),
  dir: z.string().default('f'),
  from: z.union([placeSchema, z.object({ c: placeSchema, p: placeSchema })]).optional(),
  count: z.number().optional(),
  sub: z.boolean().default(false),
  filter: filterSchema.optional(),
  during: z.object({ append: appendSchema }).optional(),
  chunks: z.array(chunkSchema).default([]),
});
export type Sent = z.infer<typeof sentSchema>;
type SentEvent = z.infer<typeof eventSchema>;

/** The messages of a unary append, in order. */
export function appendMessages(sent: Pick<Sent, 'stream' | 'expected' | 'events'>): streamsPb.AppendReq[] {
  const options = new streamsPb.AppendReq.Options().setStreamIdentifier(streamIdentifier(sent.stream));
  expect(options, sent.expected);
  const events = sent.events.map((event) => {
    const message = new streamsPb.AppendReq.ProposedMessage();
    fill(message, event);
    return new streamsPb.AppendReq().setProposedMessage(message);
  });
  return [new streamsPb.AppendReq().setOptions(options), ...events];
}

/** One message of a batch stream. */
export function batchMessage(chunk: Sent['chunks'][number]): streamsPb.BatchAppendReq {
  const message = new streamsPb.BatchAppendReq().setIsFinal(chunk.isFinal);
  message.setCorrelationId(new sharedPb.UUID().setString(chunk.correlationId));
  for (const event of chunk.events) {
    const proposed = new streamsPb.BatchAppendReq.ProposedMessage();
    fill(proposed, event);
    message.addProposedMessages(proposed);
  }
  if (chunk.stream === undefined) return message;
  const options = new streamsPb.BatchAppendReq.Options().setStreamIdentifier(streamIdentifier(chunk.stream));
  const empty = new emptyPb.Empty();
  if (typeof chunk.expected === 'number') options.setStreamPosition(String(chunk.expected));
  if (chunk.expected === 'no_stream') options.setNoStream(empty);
  if (chunk.expected === 'any') options.setAny(empty);
  if (chunk.expected === 'stream_exists') options.setStreamExists(empty);
  const deadline = new timestampPb.Timestamp();
  deadline.setSeconds(chunk.deadlineSeconds ?? Math.ceil(Date.now() / 1_000) + 60);
  return message.setOptions(options.setDeadline(deadline));
}

function fill(
  message: streamsPb.AppendReq.ProposedMessage | streamsPb.BatchAppendReq.ProposedMessage,
  event: SentEvent,
): void {
  if (event.id !== undefined) message.setId(new sharedPb.UUID().setString(event.id));
  if (event.type !== undefined) message.getMetadataMap().set('type', event.type);
  if (event.contentType !== undefined) message.getMetadataMap().set('content-type', event.contentType);
  message.setData(event.dataBytes === undefined ? Buffer.from(event.data) : Buffer.alloc(event.dataBytes, 'x'));
  message.setCustomMetadata(Buffer.from(event.metadata));
}

/** Sets what an append or deletion expects. */
export function expect(
  options: streamsPb.AppendReq.Options | streamsPb.DeleteReq.Options | streamsPb.TombstoneReq.Options,
  expected: Sent['expected'],
): void {
  const empty = new sharedPb.Empty();
  if (typeof expected === 'number') options.setRevision(String(expected));
  if (expected === 'no_stream') options.setNoStream(empty);
  if (expected === 'any') options.setAny(empty);
  if (expected === 'stream_exists') options.setStreamExists(empty);
}

/** A read or subscription; `placed` gives this server's position for a recorded one (a text in `from`). */
export function readMessage(sent: Sent, placed: (recorded: string) => string): streamsPb.ReadReq {
  const { ReadDirection } = streamsPb.ReadReq.Options;
  const empty = new sharedPb.Empty();
  const options = new streamsPb.ReadReq.Options().setUuidOption(
    new streamsPb.ReadReq.Options.UUIDOption().setString(empty),
  );
  options.setReadDirection(sent.dir === 'b' ? ReadDirection.BACKWARDS : ReadDirection.FORWARDS);
  options.setControlOption(new streamsPb.ReadReq.Options.ControlOption().setCompatibility(1));
  if (sent.sub) options.setSubscription(new streamsPb.ReadReq.Options.SubscriptionOptions());
  else options.setCount(String(sent.count ?? Number.MAX_SAFE_INTEGER));
  if (sent.all) options.setAll(allOptions(sent.from, placed));
  else {
    const stream = new streamsPb.ReadReq.Options.StreamOptions().setStreamIdentifier(streamIdentifier(sent.stream));
    if (typeof sent.from === 'number') stream.setRevision(String(sent.from));
    else if (sent.from === 'end') stream.setEnd(empty);
    else stream.setStart(empty);
    options.setStream(stream);
  }
  if (sent.filter) options.setFilter(filterOptions(sent.filter));
  else options.setNoFilter(empty);
  return new streamsPb.ReadReq().setOptions(options);
}

function allOptions(from: Sent['from'], placed: (recorded: string) => string): streamsPb.ReadReq.Options.AllOptions {
  const all = new streamsPb.ReadReq.Options.AllOptions();
  if (typeof from !== 'object') {
    const empty = new sharedPb.Empty();
    return from === 'end' ? all.setEnd(empty) : all.setStart(empty);
  }
  const [commit, prepare] = [from.c, from.p].map((one) => (typeof one === 'number' ? String(one) : placed(one)));
  const position = new streamsPb.ReadReq.Options.Position();
  return all.setPosition(position.setCommitPosition(commit ?? '').setPreparePosition(prepare ?? ''));
}

function filterOptions(filter: NonNullable<Sent['filter']>): streamsPb.ReadReq.Options.FilterOptions {
  const options = new streamsPb.ReadReq.Options.FilterOptions().setCheckpointintervalmultiplier(filter.every);
  const expression = new streamsPb.ReadReq.Options.FilterOptions.Expression();
  expression.setRegex(filter.regex).setPrefixList(filter.prefix);
  if (filter.on === 'type') options.setEventType(expression);
  else options.setStreamIdentifier(expression);
  return filter.max === undefined ? options.setCount(new sharedPb.Empty()) : options.setMax(filter.max);
}
