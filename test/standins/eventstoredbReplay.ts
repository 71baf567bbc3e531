/** Sends a recorded case of EventStoreDB's protocol again and gives what came back in the recording's form. */
import type { Readable } from 'node:stream';
import gossipGrpc from '@eventstore/db-client/generated/gossip_grpc_pb.js';
import featuresGrpc from '@eventstore/db-client/generated/serverfeatures_grpc_pb.js';
import sharedPb from '@eventstore/db-client/generated/shared_pb.js';
import streamsGrpc from '@eventstore/db-client/generated/streams_grpc_pb.js';
import streamsPb from '@eventstore/db-client/generated/streams_pb.js';
import { type Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { streamIdentifier } from './eventstoredbMessages.ts';
import { appendMessages, batchMessage, expect, readMessage, type Sent } from './eventstoredbSent.ts';

export interface ReplayClients {
  readonly streams: streamsGrpc.StreamsClient;
  readonly gossip: gossipGrpc.GossipClient;
  readonly features: featuresGrpc.ServerFeaturesClient;
  close(): void;
}

/** How long a message that is expected may take. */
const MESSAGE_DEADLINE_MS = 8_000;

/** Raw clients of the server behind a connection string `esdb://host:port?...`, without TLS, on one connection. */
export function replayClients(url: string): ReplayClients {
  const target = url.replace(/^esdb:\/\//, '').replace(/[?/].*$/, '');
  const insecure = credentials.createInsecure();
  const options = { 'grpc.max_send_message_length': -1, 'grpc.max_receive_message_length': -1 };
  const clients = {
    streams: new streamsGrpc.StreamsClient(target, insecure, options),
    gossip: new gossipGrpc.GossipClient(target, insecure, options),
    features: new featuresGrpc.ServerFeaturesClient(target, insecure, options),
  };
  const close = (): void => Object.values<Client>(clients).forEach((client) => client.close());
  return { ...clients, close };
}

/** `messages`: how many the recording has, which are waited for; `placed`: this server's position for a recorded one. */
export async function replay(
  clients: ReplayClients,
  sent: Sent,
  { messages, placed }: { messages: number; placed: (recorded: string) => string },
): Promise<unknown> {
  switch (sent.call) {
    case 'ServerFeatures.GetSupportedMethods':
      return await unary((done) => clients.features.getSupportedMethods(new sharedPb.Empty(), done));
    case 'Gossip.Read':
      return await unary((done) => clients.gossip.read(new sharedPb.Empty(), done));
    case 'append':
      return await append(clients, sent);
    case 'delete': {
      const options = new streamsPb.DeleteReq.Options().setStreamIdentifier(streamIdentifier(sent.stream));
      expect(options, sent.expected);
      return await unary((done) => clients.streams.delete(new streamsPb.DeleteReq().setOptions(options), done));
    }
    case 'tombstone': {
      const options = new streamsPb.TombstoneReq.Options().setStreamIdentifier(streamIdentifier(sent.stream));
      expect(options, sent.expected);
      return await unary((done) => clients.streams.tombstone(new streamsPb.TombstoneReq().setOptions(options), done));
    }
    case 'batchAppend':
      return await batch(clients, sent, messages);
    case 'read':
    case 'subscribe':
      return await read(clients, sent, messages, placed);
    default:
      throw new Error(`the runner knows no call ${sent.call}`);
  }
}

async function append(clients: ReplayClients, sent: Sent): Promise<unknown> {
  const metadata = new Metadata();
  if (sent.requiresLeader) metadata.set('requires-leader', 'true');
  if (sent.auth === 'wrong') metadata.set('authorization', `Basic ${btoa('nobody:wrong')}`);
  const limit = sent.deadlineMs === undefined ? {} : { deadline: Date.now() + sent.deadlineMs };
  return await unary((done) => {
    const call = clients.streams.append(metadata, limit, done);
    call.on('error', () => undefined);
    for (const message of appendMessages(sent).slice(sent.withoutOptionsMessage ? 1 : 0)) call.write(message);
    call.end();
  });
}

type Answer = { toObject(): object };

async function unary<T extends Answer>(
  send: (done: (error: ServiceError | null, answer?: T) => void) => unknown,
): Promise<unknown> {
  return await new Promise((resolve) =>
    send((error, answer) => resolve(error ? failureOf(error) : plain(answer?.toObject()))),
  );
}

/** As recorded: code, its name, details, trailers. */
function failureOf(error: ServiceError): object {
  const { code, details, metadata } = error;
  return { code, status: status[code], details, trailers: plain(metadata.getMap()) };
}

function plain(value: unknown): unknown {
  return value === undefined ? undefined : (JSON.parse(JSON.stringify(value)) as unknown);
}

async function batch(clients: ReplayClients, sent: Sent, expected: number): Promise<unknown> {
  const call = clients.streams.batchAppend();
  const messages: unknown[] = [];
  const ended = endOf(call);
  call.on('data', (answer: streamsPb.BatchAppendResp) => messages.push(batchAnswer(answer)));
  for (const chunk of sent.chunks) call.write(batchMessage(chunk));
  await reached(call, ended, () => messages.length >= expected);
  const end = await settled(clients, ended);
  call.cancel();
  return { messages, end };
}

function batchAnswer(answer: streamsPb.BatchAppendResp): unknown {
  const { error, ...rest } = answer.toObject();
  const details = answer.getError()?.getDetails();
  const hex = Buffer.from(details?.getValue_asU8() ?? []).toString('hex');
  const shown = error && { ...error, details: { typeUrl: details?.getTypeUrl(), hex } };
  const name = Buffer.from(answer.getStreamIdentifier()?.getStreamName_asU8() ?? []).toString('utf8');
  return plain({ ...rest, error: shown, streamIdentifier: { streamName: name } });
}

async function read(
  clients: ReplayClients,
  sent: Sent,
  expected: number,
  placed: (recorded: string) => string,
): Promise<unknown> {
  const call = clients.streams.read(readMessage(sent, placed));
  const messages: unknown[] = [];
  const ended = endOf(call);
  call.on('data', (answer: streamsPb.ReadResp) => messages.push(readAnswer(answer)));
  if (sent.during) {
    await reached(call, ended, () => messages.includes('caughtUp'));
    await append(clients, { ...sent, ...sent.during.append });
  }
  await reached(call, ended, () => messages.length >= expected && sent.call === 'subscribe');
  const end = await settled(clients, ended);
  call.cancel();
  return { messages, end };
}

/** With everything an event carries; the recording's short form is made where it is compared. */
function readAnswer(answer: streamsPb.ReadResp): unknown {
  if (answer.hasConfirmation()) return 'confirmation';
  if (answer.hasCaughtUp()) return 'caughtUp';
  if (answer.hasCheckpoint()) return { checkpoint: plain(answer.getCheckpoint()?.toObject()) };
  const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('utf8');
  const places = {
    firstStreamPosition: answer.getFirstStreamPosition(),
    lastStreamPosition: answer.getLastStreamPosition(),
  };
  const missing = answer.getStreamNotFound()?.getStreamIdentifier();
  if (missing)
    return { streamNotFound: { streamIdentifier: { streamName: text(missing.getStreamName_asU8()) } }, ...places };
  const read = answer.getEvent();
  const event = read?.getEvent();
  if (!read || !event) return places;
  const shown = {
    ...event.toObject(),
    streamIdentifier: { streamName: text(event.getStreamIdentifier()?.getStreamName_asU8()) },
    metadataMap: Object.fromEntries(event.getMetadataMap().toArray()),
    customMetadata: text(event.getCustomMetadata_asU8()),
    data: text(event.getData_asU8()),
  };
  return plain({
    event: { event: { ...shown, id: event.getId()?.toObject() }, commitPosition: read.getCommitPosition() },
    ...places,
  });
}

interface Ended {
  /** How the server ended the call; null while it is open. */
  readonly how: () => unknown;
  readonly onEnd: (listener: () => void) => void;
}

function endOf(call: Readable): Ended {
  let how: unknown = null;
  const listeners: (() => void)[] = [];
  const end = (value: unknown): void => {
    how ??= value;
    for (const listener of listeners) listener();
  };
  call.on('error', (error: ServiceError) => end({ error: failureOf(error) }));
  call.on('status', (at: { code: status }) => at.code === status.OK && end('ended by the server'));
  return { how: () => how, onEnd: (listener) => void listeners.push(listener) };
}

/** Resolves when the messages are there, the call has ended, or nothing comes any more in time. */
async function reached(call: Readable, ended: Ended, enough: () => boolean): Promise<void> {
  if (enough() || ended.how() !== null) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, MESSAGE_DEADLINE_MS);
    const look = (): void => {
      if (!enough() && ended.how() === null) return;
      clearTimeout(timer);
      resolve();
    };
    call.on('data', look);
    ended.onEnd(look);
  });
}

/** A round trip on the same connection, so that whatever was sent too much has come; then how the call stands. */
async function settled(clients: ReplayClients, ended: Ended): Promise<unknown> {
  await unary((done) => clients.gossip.read(new sharedPb.Empty(), done));
  return ended.how() ?? 'still open';
}
