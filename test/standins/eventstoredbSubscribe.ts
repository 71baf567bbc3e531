/**
 * Subscriptions of the EventStoreDB stand-in. A filtered one reads pages of its window's size and sends checkpoints where
 * a real 24.6.0 was seen to send them: the last event sent, or where a page without one began with prepare position 0.
 */
import { randomUUID } from 'node:crypto';
import streamsPb from '@eventstore/db-client/generated/streams_pb.js';
import type { LogRecord, StoredEvent } from './eventstoredbLog.ts';
import { eventAnswer, type Refused } from './eventstoredbMessages.ts';
import { drained, type ReadCall, type ReadRequest } from './eventstoredbRead.ts';
import type { World } from './eventstoredbWorld.ts';

/** A revision or position that was already seen, or an end of the log. */
export type Start = bigint | 'start' | 'end';

interface Place {
  readonly commit: number;
  readonly prepare: number;
}

/** How many records may wait for a live reader before it counts as fallen behind. */
const LIVE_RECORDS = 1_000;
const UNFILTERED_PAGE = 500;
const NOWHERE: Place = { commit: -1, prepare: -1 };

interface Follower {
  readonly world: World;
  readonly call: ReadCall;
  readonly request: ReadRequest;
  /** Index of the next record to look at. */
  next: number;
  /** The last event sent, or the checkpoint that stands for what was looked at. */
  reached: Place;
  /** The last checkpoint sent. */
  announced: Place;
}

/** Sends until the caller cancels, then resolves; with what to refuse it with, when it cannot begin. */
export async function subscribe(world: World, call: ReadCall, request: ReadRequest): Promise<Refused | undefined> {
  const confirmation = new streamsPb.ReadResp.SubscriptionConfirmation().setSubscriptionId(randomUUID());
  call.write(new streamsPb.ReadResp().setConfirmation(confirmation));
  const follower: Follower = { world, call, request, ...beginning(world, request), announced: NOWHERE };
  const last = world.log.records.at(-1)?.position ?? 0;
  if (follower.reached.commit >= last) follower.next = world.log.records.length;
  else await catchUp(follower);
  while (!call.cancelled) {
    await send(follower, new streamsPb.ReadResp().setCaughtUp(new streamsPb.ReadResp.CaughtUp()));
    await live(follower);
    if (!call.cancelled) await catchUp(follower);
  }
  return undefined;
}

function beginning({ log }: World, { all, start }: ReadRequest): { next: number; reached: Place } {
  const last = log.records.at(-1)?.position ?? 0;
  if (start === 'end') return { next: log.records.length, reached: { commit: last, prepare: last } };
  if (start === 'start' || !all) return { next: 0, reached: NOWHERE };
  return { next: log.find(Number(start)).index, reached: { commit: Number(start), prepare: Number(start) } };
}

/** Whether the subscriber asked for it and has not seen it. */
function wanted({ request, reached }: Follower, event: StoredEvent): boolean {
  if (event.position <= reached.commit && !after({ commit: event.position, prepare: event.position }, reached))
    return false;
  if (request.all) return request.filter?.matches(event) ?? true;
  return event.stream === request.stream && (typeof request.start !== 'bigint' || event.revision > request.start);
}

function after(one: Place, other: Place): boolean {
  return one.commit > other.commit || (one.commit === other.commit && one.prepare > other.prepare);
}

/** Reads pages up to the end of the log. */
async function catchUp(follower: Follower): Promise<void> {
  const { filter } = follower.request;
  const { records } = follower.world.log;
  const window = filter?.window ?? UNFILTERED_PAGE;
  let considered = 0;
  let start: Place = { commit: Math.max(0, follower.reached.commit), prepare: Math.max(0, follower.reached.prepare) };
  while (!follower.call.cancelled) {
    const page = pageFrom(records, follower.next, window);
    for (const { event } of page) if (event && wanted(follower, event)) await sendEvent(follower, event);
    if (page.length > 0 && after(start, follower.reached)) follower.reached = start;
    follower.next += page.length;
    const counted = page.filter((record) => record.counted).length;
    considered += counted;
    const atEnd = counted < window;
    if (filter && (atEnd || considered >= window * filter.multiplier)) {
      considered %= window * filter.multiplier;
      await checkpoint(follower);
    }
    if (atEnd) return;
    start = { commit: records[follower.next]?.position ?? follower.world.log.end(), prepare: 0 };
  }
}

/** Up to `window` counted records. */
function pageFrom(records: readonly LogRecord[], from: number, window: number): LogRecord[] {
  let end = from;
  for (let counted = 0; counted < window && end < records.length; end += 1) counted += records[end]?.counted ? 1 : 0;
  return records.slice(from, end);
}

/** Follows what is written; returns when the subscriber is gone or has fallen behind. */
async function live(follower: Follower): Promise<void> {
  const { world, call, request } = follower;
  const { filter } = request;
  let considered = 0;
  while (!call.cancelled) {
    const record = world.log.records[follower.next];
    if (!record) {
      await changed(follower);
      continue;
    }
    const waiting = world.log.records.length - follower.next;
    if (waiting > (world.faults.on('slowSubscription') ? 1 : LIVE_RECORDS)) {
      if (filter) await checkpoint(follower);
      return;
    }
    follower.next += 1;
    if (!record.event) continue;
    if (wanted(follower, record.event)) await sendEvent(follower, record.event);
    considered += 1;
    if (!filter || considered < filter.window * filter.multiplier) continue;
    considered = 0;
    const place = { commit: record.position, prepare: record.position };
    if (after(place, follower.reached)) follower.reached = place;
    await checkpoint(follower);
  }
}

/** Resolves on the next write, change of fault, or when the caller is gone. */
async function changed({ world, call }: Follower): Promise<void> {
  let done = (): void => undefined;
  const event = new Promise<void>((resolve) => (done = resolve));
  const release = [world.log.onWrite(done), world.faults.onChange(done)];
  call.once('cancelled', done);
  await event;
  call.off('cancelled', done);
  for (const one of release) one();
}

async function sendEvent(follower: Follower, event: StoredEvent): Promise<void> {
  const slow = follower.world.faults.on('slowSubscription');
  if (slow) await new Promise((resolve) => setTimeout(resolve, slow.delayMs ?? 200));
  follower.reached = { commit: event.position, prepare: event.position };
  await send(follower, eventAnswer(event));
}

async function checkpoint(follower: Follower): Promise<void> {
  const { reached, announced } = follower;
  if (!after(reached, announced) || reached.commit < 0) return;
  follower.announced = reached;
  const message = new streamsPb.ReadResp.Checkpoint();
  message.setCommitPosition(String(reached.commit)).setPreparePosition(String(reached.prepare));
  await send(follower, new streamsPb.ReadResp().setCheckpoint(message));
}

async function send(follower: Follower, message: streamsPb.ReadResp): Promise<void> {
  const { world, call } = follower;
  while (world.faults.on('mute') && !call.cancelled) await changed(follower);
  if (!call.cancelled && !call.write(message)) await drained(call);
}
