/** ServerFeatures and Gossip of the EventStoreDB stand-in: what was recorded, and itself as a cluster of one. */
import { randomUUID } from 'node:crypto';
import gossipPb from '@eventstore/db-client/generated/gossip_pb.js';
import featuresPb from '@eventstore/db-client/generated/serverfeatures_pb.js';
import sharedPb from '@eventstore/db-client/generated/shared_pb.js';
import type { sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import { z } from 'zod';
import { recordedEventStoreCases } from './eventstoredbRecordings.ts';
import { receive, track, type World } from './eventstoredbWorld.ts';

const featuresSchema = z.object({
  methodsList: z.array(
    z.object({ methodName: z.string(), serviceName: z.string(), featuresList: z.array(z.string()) }),
  ),
  eventStoreServerVersion: z.string(),
});

/** The methods a real 24.6.0 says it has. */
export function serveFeatures(
  world: World,
  call: ServerUnaryCall<sharedPb.Empty, featuresPb.SupportedMethods>,
  callback: sendUnaryData<featuresPb.SupportedMethods>,
): void {
  answerUnary(world, 'features', call, callback, () => {
    const row = recordedEventStoreCases('eventstoredb').find(({ name }) => name === 'server features');
    const recorded = featuresSchema.parse(row?.got);
    const methods = recorded.methodsList.map(({ methodName, serviceName, featuresList }) =>
      new featuresPb.SupportedMethod()
        .setMethodName(methodName)
        .setServiceName(serviceName)
        .setFeaturesList(featuresList),
    );
    return new featuresPb.SupportedMethods()
      .setMethodsList(methods)
      .setEventStoreServerVersion(recorded.eventStoreServerVersion);
  });
}

/** Itself as leader; as follower beside the leader, or initializing, as the fault in force has it. */
export function serveGossip(
  world: World,
  call: ServerUnaryCall<sharedPb.Empty, gossipPb.ClusterInfo>,
  callback: sendUnaryData<gossipPb.ClusterInfo>,
): void {
  const { LEADER, FOLLOWER, INITIALIZING } = gossipPb.MemberInfo.VNodeState;
  const starting = world.faults.on('notReady');
  const follower = world.faults.on('notLeader');
  const own = member(world.port(), '127.0.0.1', starting ? INITIALIZING : follower ? FOLLOWER : LEADER);
  const leader = follower?.leader;
  const members = leader ? [own, member(leader.port, leader.host, LEADER)] : [own];
  const answer = (): gossipPb.ClusterInfo => new gossipPb.ClusterInfo().setMembersList(members);
  if (!starting) return answerUnary(world, 'gossip', call, callback, answer);
  callback(null, answer());
}

const INSTANCE_ID = randomUUID();

function member(port: number, host: string, state: gossipPb.MemberInfo.VNodeState): gossipPb.MemberInfo {
  const id = state === gossipPb.MemberInfo.VNodeState.LEADER ? INSTANCE_ID : randomUUID();
  return new gossipPb.MemberInfo()
    .setInstanceId(new sharedPb.UUID().setString(id))
    .setTimeStamp(`${Date.now()}0000`)
    .setState(state)
    .setIsAlive(true)
    .setHttpEndPoint(new gossipPb.EndPoint().setAddress(host).setPort(port));
}

function answerUnary<T>(
  world: World,
  method: string,
  call: ServerUnaryCall<sharedPb.Empty, T>,
  callback: sendUnaryData<T>,
  answer: () => T,
): void {
  const open = track(world, call, 'openCalls');
  const reception = receive(world, method, call);
  if (reception === 'swallow') return;
  open.ended();
  if (reception === 'serve') callback(null, answer());
  else callback(reception);
}
