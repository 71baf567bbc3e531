/**
 * A stand-in for an EventStoreDB server, not one: it speaks the protocol of one insecure node and decides appends as a
 * real 24.6.0 was recorded to (test/vectors/eventstoredb*.ndjson). It keeps everything in memory, or in a file that
 * outlives a kill, knows no users, links or scavenges, and does wrong what it is told to (eventstoredbFaults.ts).
 */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import gossipGrpc from '@eventstore/db-client/generated/gossip_grpc_pb.js';
import featuresGrpc from '@eventstore/db-client/generated/serverfeatures_grpc_pb.js';
import streamsGrpc from '@eventstore/db-client/generated/streams_grpc_pb.js';
import { type ConnectionInjector, Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js';
import { serveAppend, serveDelete, serveTombstone } from './eventstoredbAppend.ts';
import { serveBatchAppend } from './eventstoredbBatch.ts';
import { serveFeatures, serveGossip } from './eventstoredbCluster.ts';
import { createFaultSwitch, type EventStoreFaults } from './eventstoredbFaults.ts';
import { openStandinFile } from './eventstoredbFile.ts';
import { createStandinLog } from './eventstoredbLog.ts';
import { serveRead } from './eventstoredbRead.ts';
import type { EventStoreStats, World } from './eventstoredbWorld.ts';

export interface EventStoreStandin {
  /** Connection string of the client. */
  readonly url: string;
  readonly port: number;
  readonly faults: EventStoreFaults;
  readonly stats: Readonly<EventStoreStats>;
  /** Resets all connections; new ones are accepted. */
  cut(): void;
  /** Ends everything; what was written stays in the data file. */
  stop(): Promise<void>;
}

/** As many calls as one connection of a real server holds at once. */
const CALLS_PER_CONNECTION = 100;

/** Listens on loopback, on a free port unless told; with `dataFile` the log is read from there and kept there. */
export async function startEventStoreStandin(
  options: { port?: number; dataFile?: string } = {},
): Promise<EventStoreStandin> {
  const file = options.dataFile === undefined ? null : openStandinFile(options.dataFile);
  const stats: EventStoreStats = { calls: {}, openCalls: 0, openSubscriptions: 0, connections: 0 };
  const sockets = new Set<Socket>();
  let port = options.port ?? 0;
  let listener: Server | null = null;
  const cut = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  const listening = {
    start: async () => {
      listener = await listen(port, injector, sockets, stats);
      port = (listener.address() as AddressInfo).port;
    },
    stop: async () => {
      const closed = new Promise<void>((resolve) => (listener ? listener.close(() => resolve()) : resolve()));
      const dropped = [...sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve)));
      listener = null;
      cut();
      await Promise.all([closed, ...dropped]);
    },
  };
  const log = createStandinLog(file ?? {});
  const faults = createFaultSwitch(listening);
  const world: World = { log, faults, stats, cut, port: () => port };
  const grpc = grpcServer(world);
  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
  await listening.start();
  const stop = async (): Promise<void> => {
    await listening.stop();
    grpc.forceShutdown();
    file?.close();
  };
  return { url: `esdb://127.0.0.1:${port}?tls=false`, port, faults, stats, cut, stop };
}

function grpcServer(world: World): GrpcServer {
  const server = new GrpcServer({
    'grpc.max_concurrent_streams': CALLS_PER_CONNECTION,
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
  });
  server.addService(streamsGrpc.StreamsService, {
    append: (call, callback) => serveAppend(world, call, callback),
    batchAppend: (call) => serveBatchAppend(world, call),
    delete: (call, callback) => serveDelete(world, call, callback),
    tombstone: (call, callback) => serveTombstone(world, call, callback),
    read: (call) => void serveRead(world, call),
  } satisfies streamsGrpc.IStreamsServer);
  server.addService(gossipGrpc.GossipService, {
    read: (call, callback) => serveGossip(world, call, callback),
  } satisfies gossipGrpc.IGossipServer);
  server.addService(featuresGrpc.ServerFeaturesService, {
    getSupportedMethods: (call, callback) => serveFeatures(world, call, callback),
  } satisfies featuresGrpc.IServerFeaturesServer);
  return server;
}

async function listen(
  port: number,
  injector: ConnectionInjector,
  sockets: Set<Socket>,
  stats: EventStoreStats,
): Promise<Server> {
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    stats.connections += 1;
    socket.on('error', () => undefined);
    socket.once('close', () => {
      sockets.delete(socket);
      stats.connections -= 1;
    });
    injector.injectConnection(socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return server;
}
