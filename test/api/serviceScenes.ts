/** Agents and discussions of a service under test. */
import * as assert from 'uvu/assert';
import { discussions } from '../../projections/discussions.ts';
import type { Body, Reply, TestService } from './serviceForTests.ts';

export const UNKNOWN = '01890a5d-ac96-774b-bcce-b302099a8057';
export const offline = { provider: 'offline', name: 'offline' };
export const agentBody = { name: 'Ada', instructions: 'Be brief.', model: offline };

/** The answer's body; fails with it when the status is another one. */
export function expected(reply: Reply, status: number, code?: string): Body {
  const seen = JSON.stringify(reply.body);
  assert.is(reply.status, status, seen);
  if (code !== undefined) assert.is(reply.body.code, code, seen);
  return reply.body;
}

/** A registered agent's id. */
export async function agentAt(on: TestService, more: object = {}): Promise<string> {
  return expected(await on.post('/agents', { ...agentBody, ...more }), 201).id;
}

/** A discussion of people, in which nothing happens by itself. */
export async function quietDiscussion(on: TestService, more: object = {}): Promise<Body> {
  const participants = [{ userId: 'grace' }, { userId: 'administrator' }];
  return expected(await on.post('/discussions', { title: 'Tea', topic: 'Tea or coffee?', participants, ...more }), 201);
}

/** A discussion of two offline agents that ends by itself. */
export async function talkingDiscussion(on: TestService, maxTurns = 4, more: object = {}): Promise<Body> {
  const agentId = await agentAt(on);
  const participants = [{ agentId }, { agentId: await agentAt(on, { name: 'Bea' }) }];
  return quietDiscussion(on, { participants, limits: { maxTurns }, ...more });
}

/** Waits until a GET shows what is asked for. */
export async function shown(
  on: TestService,
  path: string,
  wanted: (body: Body) => boolean,
  withinMs = 8_000,
): Promise<Body> {
  const endsAt = performance.now() + withinMs;
  for (;;) {
    const { body } = await on.get(path);
    if (wanted(body)) return body;
    if (performance.now() > endsAt) throw new Error(`still not: ${JSON.stringify(body)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The open turn's id in what a write answered. */
export function turnIn(body: Body): string {
  const turn = body['currentTurn'] as { turnId: string } | null;
  if (turn === null) throw new Error('no turn is open');
  return turn.turnId;
}

/** The events of a discussion, at most 200. */
export async function logOf(on: TestService, id: string): Promise<Record<string, unknown>[]> {
  return expected(await on.get(`/discussions/${id}/events?limit=200`), 200).data;
}

/**
 * Parks a discussion's stream in the read model `discussions` as a runner does that cannot take its first event.
 * @returns the letter's id.
 */
export async function parkedDiscussion(on: TestService, id: string): Promise<string> {
  const { knex } = on.service.running.storage.database;
  const headers = { 'Consistency-Token': `p${await on.service.running.storage.store.head()}`, Prefer: 'wait=10' };
  expected(await on.get(`/discussions/${id}`, { headers }), 200);
  const events = await logOf(on, id);
  const { rows } = await knex.raw<{ rows: { id: string }[] }>(
    `with live as (
       update projections set epoch = epoch + 1 where name = 'discussions' and status = 'live' returning version),
     gone as (delete from discussions_s${discussions.schemaVersion} where id = ?)
     insert into dead_letters (projection, version, stream, position, event_id, type, error, later_events)
     select 'discussions', version, ?, ?, ?, ?, 'cannot be read', ? from live returning id`,
    [
      id,
      `discussion-${id}`,
      String(events[0]?.['position']),
      String(events[0]?.['id']),
      String(events[0]?.['type']),
      events.length - 1,
    ],
  );
  return rows[0]?.id ?? '';
}
