/** What the handlers of the EventStoreDB stand-in share, and what every call meets first. */
import { type Metadata, status } from '@grpc/grpc-js';
import type { FaultSwitch } from './eventstoredbFaults.ts';
import type { StandinLog } from './eventstoredbLog.ts';
import { type Refused, refused } from './eventstoredbMessages.ts';

export interface EventStoreStats {
  /** Calls by their method's name since the start: `read`, `append`, `batchAppend`, `delete`, ... */
  readonly calls: Record<string, number>;
  /** Calls that have not ended, subscriptions among them. */
  openCalls: number;
  openSubscriptions: number;
  /** Connections open now. */
  connections: number;
}

export interface World {
  readonly log: StandinLog;
  readonly faults: FaultSwitch;
  readonly stats: EventStoreStats;
  readonly port: () => number;
  /** Resets all connections. */
  readonly cut: () => void;
}

/** The part of a call that all kinds have in common. */
interface AnyCall {
  readonly metadata: Metadata;
  on(event: 'cancelled', listener: () => void): unknown;
}

/** What becomes of a call: served, refused, or swallowed without an answer. */
export type Reception = 'serve' | 'swallow' | Refused;

/** Counts a call and says what the fault in force makes of it. */
export function receive(world: World, method: string, call: AnyCall): Reception {
  world.stats.calls[method] = (world.stats.calls[method] ?? 0) + 1;
  if (world.faults.use('mute')) return 'swallow';
  if (world.faults.use('notReady')) return refused(status.UNAVAILABLE, 'Server Is Not Ready');
  const leader = world.faults.on('notLeader')?.leader ?? { host: '127.0.0.1', port: 1 };
  if (call.metadata.get('requires-leader')[0] !== 'true' || !world.faults.use('notLeader')) return 'serve';
  return refused(status.NOT_FOUND, 'Leader info available', {
    exception: 'not-leader',
    'leader-endpoint-host': leader.host,
    'leader-endpoint-port': String(leader.port),
  });
}

/** Counts a call as open until `ended` is called or the caller cancels it. */
export function track(world: World, call: AnyCall, kind: 'openCalls' | 'openSubscriptions'): { ended(): void } {
  let open = true;
  world.stats[kind] += 1;
  const ended = (): void => {
    if (open) world.stats[kind] -= 1;
    open = false;
  };
  call.on('cancelled', ended);
  return { ended };
}

/** Lets a written answer go as the fault in force has it: at once, later, or never with the connection cut. */
export function release(world: World, answer: () => void): void {
  if (world.faults.use('resetAfterCommit')) return world.cut();
  const late = world.faults.use('late');
  if (late) setTimeout(answer, late.delayMs ?? 2_000).unref();
  else answer();
}
