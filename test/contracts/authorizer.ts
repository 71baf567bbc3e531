import * as assert from 'uvu/assert';
import type { Action, Actor, Authorizer } from '../../domain/ports.ts';
import { suite } from '../harness.ts';

const actions: readonly Action[] = ['read', 'write', 'administer'];

function actor(kind: Actor['kind'], ...grants: [project: string, role: string][]): Actor {
  return { kind, id: 'someone', grants: grants.map(([project, role]) => ({ project, role })) };
}

/** What every Authorizer does. */
export function authorizerContract(name: string, create: () => Promise<Authorizer>): void {
  const test = suite(`authorizer: ${name}`);
  let authorizer: Authorizer;

  const allowed = async (who: Actor, project: string, kind = 'discussion', id?: string): Promise<Action[]> => {
    const list: Action[] = [];
    for (const action of actions)
      if (await authorizer.may(who, action, { project, kind, ...(id === undefined ? {} : { id }) })) list.push(action);
    return list;
  };

  test.before(async () => {
    authorizer = await create();
  });

  test('an administrator does everything in their project and nothing in another', async () => {
    const who = actor('user', ['alpha', 'administrator']);
    assert.equal(await allowed(who, 'alpha'), ['read', 'write', 'administer']);
    assert.equal(await allowed(who, 'alpha', 'agent', 'some-id'), ['read', 'write', 'administer']);
    assert.equal(await allowed(who, 'beta'), []);
    assert.equal(await allowed(who, '*', 'metrics'), []);
  });

  test('a grant for all projects covers each of them, and what belongs to none', async () => {
    assert.equal(await allowed(actor('user', ['*', 'administrator']), 'beta'), ['read', 'write', 'administer']);
    assert.equal(await allowed(actor('user', ['*', 'viewer']), '*', 'metrics'), ['read']);
  });

  test('a viewer only reads', async () => {
    assert.equal(await allowed(actor('user', ['alpha', 'viewer']), 'alpha'), ['read']);
    assert.equal(await allowed(actor('user', ['alpha', 'viewer']), 'beta'), []);
  });

  test('grants add up per project and do not leak between projects', async () => {
    const who = actor('user', ['alpha', 'viewer'], ['beta', 'administrator']);
    assert.equal(await allowed(who, 'alpha'), ['read']);
    assert.equal(await allowed(who, 'beta'), ['read', 'write', 'administer']);
  });

  test('a worker reads everything, writes turns of discussions, and needs to be a worker', async () => {
    assert.equal(await allowed(actor('worker', ['*', 'worker']), 'alpha', 'discussion'), ['read', 'write']);
    assert.equal(await allowed(actor('worker', ['*', 'worker']), 'alpha', 'turn'), ['read', 'write']);
    assert.equal(await allowed(actor('worker', ['*', 'worker']), 'alpha', 'agent'), ['read']);
    assert.equal(await allowed(actor('user', ['*', 'worker']), 'alpha', 'discussion'), []);
    assert.equal(await allowed(actor('worker'), 'alpha', 'discussion'), []);
  });

  test('nobody gets anything without a grant or with a role nobody knows', async () => {
    for (const role of ['', 'Administrator', 'root', '*', 'administrator ', '__proto__', 'viewer$$discussion$$read'])
      assert.equal(await allowed(actor('user', ['alpha', role]), 'alpha'), [], role);
    assert.equal(await allowed(actor('user'), 'alpha'), []);
    assert.equal(await allowed(actor('system'), 'alpha'), []);
  });

  test('names made to be mistaken for others are denied, also after the real ones were asked', async () => {
    await allowed(actor('user', ['alpha', 'administrator']), 'alpha');
    const who = actor('user', ['alpha', 'viewer']);
    for (const kind of ['discussion$$write', "x' || true || '", '*', '', 'a'.repeat(1000)])
      assert.equal((await allowed(who, 'alpha', kind)).includes('write'), false, kind);
    assert.equal(await allowed(actor('user', ['alph', 'administrator']), 'alpha'), []);
  });

  test('a repeated question is quick', async () => {
    const who = actor('user', ['alpha', 'administrator']);
    const started = performance.now();
    for (let i = 0; i < 2_000; i += 1)
      await authorizer.may(who, 'write', { project: 'alpha', kind: 'discussion', id: `id-${i}` });
    assert.ok(performance.now() - started < 1_000, 'under 0.5 ms each');
  });

  test.run();
}
