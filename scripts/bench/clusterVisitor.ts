/** Who opens discussions on a cluster and reads how they went, over REST and streams alone. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from '../cluster/cluster.ts';
import { createRemote, RemoteProblem, type Remote } from '../remote.ts';

const HELD_WITHIN_MS = 240_000;
const OPENED_WITHIN_MS = 60_000;
const TAKEN_WITHIN_MS = 60_000;

/** An event as the API shows it. */
interface Wire {
  readonly type: string;
  readonly occurredAt: string;
  readonly data: { readonly turnId?: string; readonly worker?: string; readonly attempt?: number };
}

export interface Visitor {
  /** Opens discussions and waits for their ends. */
  hold(discussions: number, turns: number): Promise<{ turnsPerSecond: number; claimsMs: number[] }>;
  open(discussions: number, turns: number): Promise<string[]>;
  /** Milliseconds until each attempt that `worker` held at `killedAtMs` was claimed anew. */
  resumed(ids: readonly string[], worker: string, killedAtMs: number): Promise<number[]>;
  conclude(ids: readonly string[]): Promise<void>;
}

/** Registers three agents on the built-in model. */
export async function createVisitor({ apis, token }: Cluster): Promise<Visitor> {
  const remotes = apis.map((url) => createRemote(url, token));
  const remote = (i: number): Remote => remotes[i % remotes.length] ?? createRemote('', token);
  const participants: { agentId: string }[] = [];
  for (const name of ['Ada', 'Basil', 'Clara']) {
    const model = { provider: 'offline', name: 'offline', parameters: { num_predict: 60 } };
    const body = { name, instructions: 'Be brief.', model };
    participants.push({ agentId: (await remote(0).call<{ id: string }>('POST', '/agents', { body })).id });
  }
  const open = (discussions: number, turns: number) =>
    Promise.all(
      Array.from({ length: discussions }, (_, i) =>
        openOne(remote(i), { title: `Bench ${i}`, topic: 'How fast?', participants, limits: { maxTurns: turns } }),
      ),
    );
  return {
    open,
    async hold(discussions, turns) {
      const ids = await open(discussions, turns);
      const logs = await Promise.all(ids.map((id, i) => untilEnd(remote(i), id)));
      const times = (wanted: string) =>
        logs
          .flat()
          .filter(({ type }) => type === wanted)
          .map(atMs);
      const [begins, ends] = [times('TurnRequested'), times('TurnCompleted')];
      const turnsPerSecond = (ends.length * 1000) / (Math.max(...ends) - Math.min(...begins));
      return { turnsPerSecond, claimsMs: logs.flatMap(claimsOf) };
    },
    async resumed(ids, worker, killedAtMs) {
      const gaps = await Promise.all(ids.map((id, i) => resumedAfter(remote(i), id, worker, killedAtMs)));
      return gaps.filter((gap) => gap !== null);
    },
    async conclude(ids) {
      const concludeOne = (id: string, i: number) =>
        remote(i)
          .call('POST', `/discussions/${id}/conclude`, { body: {} })
          .catch(() => undefined);
      await Promise.all(ids.map(concludeOne));
    },
  };
}

/** Asks again while the answer is that there is too much to do. */
async function openOne(remote: Remote, body: object): Promise<string> {
  const headers = { 'idempotency-key': `bench-${process.pid}-${performance.now()}-${Math.random()}` };
  for (const start = performance.now(); ; await delay(200))
    try {
      return (await remote.call<{ id: string }>('POST', '/discussions', { body, headers })).id;
    } catch (error) {
      const again = error instanceof RemoteProblem && error.retryable && performance.now() - start < OPENED_WITHIN_MS;
      if (!again) throw error;
    }
}

async function eventsOf(remote: Remote, id: string): Promise<Wire[]> {
  const all: Wire[] = [];
  for (;;) {
    const path = `/discussions/${id}/events?limit=200${all.length === 0 ? '' : `&after=${all.length - 1}`}`;
    const { data } = await remote.call<{ data: Wire[] }>('GET', path);
    all.push(...data);
    if (data.length < 200) return all;
  }
}

async function untilEnd(remote: Remote, id: string): Promise<Wire[]> {
  const signal = AbortSignal.timeout(HELD_WITHIN_MS);
  for await (const { event } of remote.stream(`/discussions/${id}/stream`, { signal })) if (event === 'end') break;
  return eventsOf(remote, id);
}

/** Null when the worker held no attempt of this discussion. */
async function resumedAfter(remote: Remote, id: string, worker: string, killedAtMs: number): Promise<number | null> {
  const held = heldAt(await eventsOf(remote, id), worker, killedAtMs);
  if (held === null) return null;
  for (const start = performance.now(); performance.now() - start < TAKEN_WITHIN_MS; await delay(200)) {
    const next = nextClaim(await eventsOf(remote, id), held);
    if (next !== null) return atMs(next) - killedAtMs;
  }
  throw new Error(`an attempt of ${worker} was never taken over`);
}

function atMs({ occurredAt }: Wire): number {
  return Date.parse(occurredAt);
}

/** Without the first turn of each discussion: those are opened all at once. */
function claimsOf(log: readonly Wire[]): number[] {
  const requested = new Map(log.filter(({ type }) => type === 'TurnRequested').map((each) => [each.data.turnId, each]));
  return log
    .filter(({ type, data }) => type === 'TurnClaimed' && data.attempt === 1)
    .slice(1)
    .map((claim) => atMs(claim) - atMs(requested.get(claim.data.turnId) ?? claim));
}

/** The claim that a worker held at a time: made before, and not ended before. */
function heldAt(log: readonly Wire[], worker: string, timeMs: number): Wire | null {
  const before = log.filter((event) => atMs(event) <= timeMs);
  const claim = before.findLast(({ type }) => type === 'TurnClaimed');
  if (claim?.data.worker !== worker) return null;
  const { turnId, attempt } = claim.data;
  const over = before.some(
    ({ type, data }) =>
      /^Turn(Completed|AttemptAbandoned|Failed|Cancelled)$/.test(type) &&
      data.turnId === turnId &&
      (data.attempt ?? attempt) === attempt,
  );
  return over ? null : claim;
}

function nextClaim(log: readonly Wire[], held: Wire): Wire | null {
  return (
    log.find(
      ({ type, data }) =>
        type === 'TurnClaimed' && data.turnId === held.data.turnId && (data.attempt ?? 0) > (held.data.attempt ?? 0),
    ) ?? null
  );
}
