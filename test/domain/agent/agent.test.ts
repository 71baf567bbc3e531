import * as assert from 'uvu/assert';
import {
  decideAgent,
  evolveAgent,
  modelChain,
  profileAt,
  type Agent,
  type AgentCommand,
} from '../../../domain/agent/agent.ts';
import { agentEvents, profileSchema, type AgentEvent, type AgentProfile } from '../../../domain/agent/events.ts';
import { refusalOf } from '../given.ts';
import { suite } from '../../harness.ts';

const test = suite('agent');

const profile: AgentProfile = {
  name: 'Ada',
  instructions: 'Be brief.',
  model: { provider: 'offline', name: 'offline', parameters: { seed: 7 } },
};
const register: AgentCommand = { kind: 'register', projectId: 'default', profile };
const registered = after({ status: 'none' }, register);

function after(state: Agent, ...commands: AgentCommand[]): Agent {
  return commands.reduce((now, command) => {
    const events = decideAgent(now, command);
    for (const { type, data } of events) assert.equal(agentEvents[type].schema.parse(data), data);
    return events.reduce<Agent>(evolveAgent, now);
  }, state);
}

function refuses(state: Agent, command: AgentCommand, code: string, says: RegExp): void {
  const refusal = refusalOf(() => decideAgent(state, command));
  assert.is(refusal.code, code);
  assert.match(refusal.message, says);
}

test('register is accepted once', () => {
  assert.equal(decideAgent({ status: 'none' }, register), [
    { type: 'AgentRegistered', data: { projectId: 'default', profile } },
  ]);
  assert.equal(registered, { status: 'registered', projectId: 'default', versions: [profile] });
  refuses(registered, register, 'conflict', /exists already/);
});

test('revise makes a version of the profile with the changes; older versions stay', () => {
  const changes = { instructions: 'Be long.' };
  assert.equal(decideAgent(registered, { kind: 'revise', changes }), [
    { type: 'AgentRevised', data: { version: 2, profile: { ...profile, ...changes } } },
  ]);
  const revised = after(registered, { kind: 'revise', changes }, { kind: 'revise', changes: { name: 'Grace' } });
  assert.equal(profileAt(revised, 1), profile);
  assert.equal(profileAt(revised, 2), { ...profile, ...changes });
  assert.equal(profileAt(revised, 3), { ...profile, ...changes, name: 'Grace' });
});

test('revise is refused without changes, without an agent, after retirement, past 1000 versions', () => {
  const changes = { name: 'Grace' };
  refuses(registered, { kind: 'revise', changes: {} }, 'invalid', /nothing to change/);
  refuses({ status: 'none' }, { kind: 'revise', changes }, 'not-found', /no such agent/);
  refuses(after(registered, { kind: 'retire' }), { kind: 'revise', changes }, 'conflict', /retired/);
  const full: Agent = {
    status: 'registered',
    projectId: 'default',
    versions: Array.from({ length: 1000 }, () => profile),
  };
  refuses(full, { kind: 'revise', changes }, 'conflict', /at most 1000 versions/);
});

test('retire is accepted once, keeps the versions, and says why', () => {
  assert.equal(decideAgent(registered, { kind: 'retire', reason: 'old' }), [
    { type: 'AgentRetired', data: { reason: 'old' } },
  ]);
  const retired = after(registered, { kind: 'retire' });
  assert.equal(retired, { status: 'retired', projectId: 'default', versions: [profile] });
  refuses(retired, { kind: 'retire' }, 'conflict', /retired/);
  refuses({ status: 'none' }, { kind: 'retire' }, 'not-found', /no such agent/);
});

test('a version that is not there is not found', () => {
  for (const version of [0, 2, -1, 1.5, Number.NaN])
    assert.is(refusalOf(() => profileAt(registered, version)).code, 'not-found');
  assert.is(refusalOf(() => profileAt({ status: 'none' }, 1)).code, 'not-found');
});

test('the fold ignores events before the first one', () => {
  const strays: AgentEvent[] = [
    { type: 'AgentRevised', data: { version: 2, profile } },
    { type: 'AgentRetired', data: {} },
  ];
  for (const event of strays) assert.equal(evolveAgent({ status: 'none' }, event), { status: 'none' });
});

test('profiles: names without structure, parameters in range', () => {
  for (const name of ['', ' ', 'a\nb', '<b>', '@ada', 'a|b', '{a}', 'x'.repeat(65), '\ud800', 'a\u0000'])
    assert.not.ok(profileSchema.safeParse({ ...profile, name }).success, JSON.stringify(name));
  assert.ok(profileSchema.safeParse({ ...profile, name: 'Ada Lovelace 🫖' }).success);
  for (const parameters of [{ num_predict: 0 }, { num_predict: -1 }, { temperature: '1' }, { top_p: 0 }, { seeds: 1 }])
    assert.not.ok(profileSchema.safeParse({ ...profile, model: { ...profile.model, parameters } }).success);
});

test('fall-backs: models that are asked, none of them twice, at most four', () => {
  const named = (...names: string[]) => names.map((name) => ({ provider: 'ollama', name }));
  const fits = (fallbacks: unknown) => profileSchema.safeParse({ ...profile, fallbacks }).success;
  assert.ok(fits(named('a', 'b', 'c', 'd')) && fits([]));
  assert.ok(fits([...named('a'), { provider: 'openai', name: 'a' }]), 'of another provider it is another model');
  assert.not.ok(fits(named('a', 'b', 'c', 'd', 'e')));
  assert.not.ok(fits([...named('a'), { provider: 'ollama', name: 'a', parameters: { seed: 1 } }]));
  assert.not.ok(fits([{ provider: 'external', name: 'a' }]));
});

test('fall-backs go with the model, also where only one of the two is changed', () => {
  const model = { provider: 'ollama' as const, name: 'a' };
  const fallbacks = [model, { provider: 'offline' as const, name: 'other' }];
  const chained = after({ status: 'none' }, { ...register, profile: { ...profile, fallbacks } });
  assert.equal(modelChain(profileAt(chained, 1)), [profile.model, ...fallbacks]);
  assert.equal(modelChain(profile), [profile.model]);
  refuses(chained, { kind: 'revise', changes: { model } }, 'invalid', /ollama\/a is the model of the agent/);
  refuses(
    registered,
    { kind: 'revise', changes: { fallbacks: [{ provider: 'offline', name: 'offline' }] } },
    'invalid',
    /fall-back too/,
  );
  const external = { provider: 'external' as const, name: 'elsewhere' };
  refuses(chained, { kind: 'revise', changes: { model: external } }, 'invalid', /runs elsewhere/);
  const moved = after(chained, { kind: 'revise', changes: { model: external, fallbacks: [] } });
  assert.equal(modelChain(profileAt(moved, 2)), [external]);
});

test('a memory has defaults within bounds, is kept by revisions, and taken away by null', () => {
  const parsed = (memory: unknown) => profileSchema.safeParse({ ...profile, memory }).data?.memory;
  const memory = { scope: 'project' as const, k: 5, maxTokens: 600, minScore: 0.3 };
  assert.equal(parsed({ scope: 'project' }), memory);
  assert.is('memory' in profileSchema.parse(profile), false, 'events from before stay as they are');
  for (const bad of [
    {},
    { scope: 'all' },
    { ...memory, k: 0 },
    { ...memory, maxTokens: 9000 },
    { ...memory, minScore: 2 },
  ])
    assert.is(parsed(bad), undefined, JSON.stringify(bad));
  const with_ = after({ status: 'none' }, { ...register, profile: { ...profile, memory } });
  const revised = after(with_, { kind: 'revise', changes: { instructions: 'Be kind.' } });
  assert.equal(profileAt(revised, 2).memory, memory);
  const without = after(revised, { kind: 'revise', changes: { memory: null } });
  assert.is('memory' in profileAt(without, 3), false);
  const external = { provider: 'external' as const, name: 'elsewhere' };
  refuses(with_, { kind: 'revise', changes: { model: external } }, 'invalid', /recall/);
  const moved = after(with_, { kind: 'revise', changes: { model: external, memory: null } });
  assert.equal(profileAt(moved, 2).model, external);
});

test.run();
