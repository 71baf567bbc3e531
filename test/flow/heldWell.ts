/** Discussions that go on while something fails, and what must be true of them afterwards. */
import * as assert from 'uvu/assert';
import { audited } from '../domain/discussion/invariants.ts';
import type { WireEvent } from '../scripts/startProcess.ts';
import type { Seen, Visitor } from './visitor.ts';

/** Settings of a cluster in which a turn takes about a second: who has just claimed one is still at it when it is killed. */
export const SLOW_TURNS = { OFFLINE_TOKENS_PER_SECOND: '60' };

export interface Held {
  readonly id: string;
  readonly turns: number;
  readonly seen: Promise<Seen>;
  /** Texts of messages that were acknowledged. */
  readonly posted: string[];
}

/** What was found, for checks of how it came about. */
export interface Findings {
  readonly events: number;
  /** Attempts that did not end their turn. */
  readonly abandoned: number;
  /** Connections that viewers needed beside their first. */
  readonly resumed: number;
  readonly deltas: number;
}

/** @returns the ids of three agents that talk without a model. */
export async function registerAgents(visitor: Visitor): Promise<string[]> {
  const ids: string[] = [];
  for (const name of ['Ada', 'Basil', 'Clara']) {
    const model = { provider: 'offline', name: 'offline', parameters: { num_predict: 60 } };
    ids.push((await visitor.call<{ id: string }>('POST', '/agents', { name, instructions: 'Be brief.', model })).id);
  }
  return ids;
}

/** Opens a discussion of so many turns, and a viewer of it. @param n which one, from 0; decides where the viewer begins. */
export async function openHeld(
  visitor: Visitor,
  agents: readonly string[],
  { n, turns }: { n: number; turns: number },
  signal: AbortSignal,
): Promise<Held> {
  const body = {
    title: `Number ${n}`,
    topic: 'What survives a sudden end?',
    participants: agents.map((agentId) => ({ agentId })),
    limits: { maxTurns: turns },
  };
  const { id } = await visitor.call<{ id: string }>('POST', '/discussions', body);
  const seen = visitor.watch(id, n, signal);
  seen.catch(() => undefined);
  return { id, turns, seen, posted: [] };
}

/** A person says something in every discussion that still goes on. */
export async function postAll(visitor: Visitor, held: readonly Held[]): Promise<void> {
  await Promise.all(
    held.map(async ({ id, posted }, n) => {
      const text = `A question from outside, number ${n}.`;
      const message = { content: [{ type: 'text', text }] };
      const taken = await visitor.call('POST', `/discussions/${id}/messages`, message).then(
        () => true,
        (error: unknown) => {
          // It has ended already.
          assert.match(String(error), /answered 409/, `only an end refuses: ${String(error)}`);
          return false;
        },
      );
      if (taken) posted.push(text);
    }),
  );
}

/** Waits until every discussion has ended, and checks I1 to I8 of them. Rejects when one of them does not hold. */
export async function checkHeldWell(visitor: Visitor, held: readonly Held[]): Promise<Findings> {
  const ids = new Set<string>();
  let [abandoned, resumed, deltas] = [0, 0, 0];
  for (const one of held) {
    const seen = await one.seen;
    const events = await eventsOf(visitor, one.id);
    checkLog(events, one);
    for (const event of events) {
      assert.not(ids.has(event.id), 'no event id occurs twice');
      ids.add(event.id);
    }
    await checkReadModels(visitor, one, events);
    // I8
    assert.equal(
      seen.frames.map(({ data }) => data),
      events,
    );
    resumed += seen.connections - 1;
    deltas += seen.deltas;
    abandoned += events.filter(({ type }) => type === 'TurnAttemptAbandoned').length;
  }
  return { events: ids.size, abandoned, resumed, deltas };
}

/** Prints how far those are that have not ended: what a failure is looked into with. */
export async function sayUnended(visitor: Visitor, held: readonly Held[]): Promise<void> {
  for (const { id } of held) {
    const events = await eventsOf(visitor, id);
    if (events.at(-1)?.type === 'DiscussionConcluded') continue;
    const last = events.slice(-4).map(({ type, occurredAt, data }) => `${occurredAt} ${type} ${JSON.stringify(data)}`);
    console.log(`${id} has not ended:\n${last.map((line) => `  ${line.slice(0, 300)}`).join('\n')}`);
  }
}

function checkLog(events: readonly WireEvent[], { turns, posted }: Held): void {
  // I2
  assert.equal(
    events.map(({ revision }) => revision),
    events.map((_, revision) => revision),
  );
  // I3, I4, I6, I7: nothing is left open or uncounted.
  const audit = audited(
    events.map((event) => ({ event, revision: event.revision, atMs: Date.parse(event.occurredAt) })),
  );
  assert.equal([audit.turns, audit.completed.size, audit.open, audit.outstanding.size], [turns, turns, null, 0]);
  assert.ok(audit.concluded);
  // I1: what was acknowledged is there once.
  const texts = events.flatMap((event) => (event.type === 'MessagePosted' ? [JSON.stringify(event.data.content)] : []));
  for (const text of posted) assert.is(texts.filter((each) => each.includes(text)).length, 1);
  assert.is(texts.length, posted.length);
}

/** I5: what the read models show is what the events say. */
async function checkReadModels(visitor: Visitor, { id, turns }: Held, events: readonly WireEvent[]): Promise<void> {
  const fresh = { 'consistency-token': `p${events.at(-1)?.position}`, prefer: 'wait=20' };
  const get = <T>(path: string) => visitor.call<T>('GET', path, undefined, fresh);
  const discussion = await get<{ status: string; revision: number }>(`/discussions/${id}`);
  assert.equal([discussion.status, discussion.revision], ['concluded', events.length - 1]);
  const messages = await get<{ data: { content: unknown }[] }>(`/discussions/${id}/messages?limit=200`);
  const said = events.filter((event) => event.type === 'MessagePosted' || event.type === 'TurnCompleted');
  assert.equal(
    messages.data.map(({ content }) => content),
    said.map(({ data }) => data.content),
  );
  const rows = await get<{ data: { number: number; status: string }[] }>(`/discussions/${id}/turns?limit=200`);
  assert.equal(
    rows.data.map(({ number, status }) => `${number} ${status}`).sort(),
    Array.from({ length: turns }, (_, i) => `${i + 1} completed`),
  );
}

async function eventsOf(visitor: Visitor, id: string): Promise<WireEvent[]> {
  const { data } = await visitor.call<{ data: WireEvent[] }>('GET', `/discussions/${id}/events?limit=200`);
  return data;
}
