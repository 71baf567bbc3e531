/** Who takes part: agents pinned at a version, people; and who may answer for whom. */
import * as assert from 'uvu/assert';
import { changeDiscussion } from '../../commands/changeDiscussion.ts';
import { existing } from '../../commands/discussionCommand.ts';
import type { Engine } from '../../commands/engine.ts';
import { joinDiscussion } from '../../commands/joinDiscussion.ts';
import { openDiscussion } from '../../commands/openDiscussion.ts';
import { postMessage } from '../../commands/postMessage.ts';
import { registerAgent, registerAgentSchema } from '../../commands/registerAgent.ts';
import { retireAgent } from '../../commands/retireAgent.ts';
import { reviseAgent } from '../../commands/reviseAgent.ts';
import { suite } from '../harness.ts';
import { asked, createWorld, keyed, processOn, refusedIn, userWith } from './engineForTests.ts';
import { aDiscussion, anAgent, discussionBody, participantOf, turnOf } from './scenes.ts';

const test = suite('who takes part');
const UNKNOWN = '01890a5d-ac96-774b-bcce-b302099a8057';

async function agentOf(engine: Engine, provider: string): Promise<string> {
  const body = registerAgentSchema.parse({ name: 'Ada', instructions: '', model: { provider, name: 'm' } });
  return (await registerAgent(engine, body, asked())).id;
}

test('an agent that is not there, is elsewhere, is retired, or has no such version', async () => {
  const world = createWorld();
  const engine = await processOn(world);
  const retired = await anAgent(engine);
  await retireAgent(await processOn(world), retired, asked());
  const open = await aDiscussion(engine);
  const wrong: [object, string][] = [
    [{ agentId: UNKNOWN }, 'unknown-agent'],
    [{ agentId: await anAgent(engine, 'Eve', 'elsewhere') }, 'unknown-agent'],
    [{ agentId: retired }, 'retired-agent'],
    [{ agentId: await anAgent(engine), version: 2 }, 'unknown-version'],
    [{ agentId: await anAgent(engine), answerWithinMs: 5000 }, 'not-waited-for'],
  ];
  for (const [newcomer, code] of wrong) {
    const body = await discussionBody(engine, { participants: [{ userId: 'grace' }, newcomer] });
    const refusal = await refusedIn(world, 'invalid', () => openDiscussion(engine, body, asked()));
    assert.equal([refusal.issues[0]?.pointer, refusal.issues[0]?.code], ['/participants/1', code]);
    const joining = body.participants[1];
    if (joining === undefined) throw new Error('nobody joins');
    const again = await refusedIn(world, 'invalid', () => joinDiscussion(engine, open.id, joining, asked()));
    assert.is(again.issues[0]?.code, code);
  }
});

test('maxCostUsd needs a price for every model', async () => {
  const world = createWorld();
  const engine = await processOn(world);
  const limits = { maxCostUsd: 1 };
  for (const provider of ['openai', 'anthropic', 'external']) {
    const participants = [{ agentId: await agentOf(engine, provider) }];
    const body = await discussionBody(engine, { participants, limits });
    const refusal = await refusedIn(world, 'invalid', () => openDiscussion(engine, body, asked()));
    assert.is(refusal.issues[0]?.code, 'no-price');
  }
  const participants = [{ agentId: await agentOf(engine, 'offline') }, { agentId: await agentOf(engine, 'ollama') }];
  const { id } = await openDiscussion(engine, await discussionBody(engine, { participants, limits }), asked());
  const paid = { agentId: await agentOf(engine, 'openai') };
  await refusedIn(world, 'invalid', () => joinDiscussion(engine, id, paid, asked()));
  await refusedIn(world, 'invalid', () => changeDiscussion(engine, id, { limits: { maxCostUsd: 2 } }, asked()));
});

test('an agent is pinned at the version that another process has just made', async () => {
  const world = createWorld();
  const [here, there] = [await processOn(world), await processOn(world)];
  const agentId = await anAgent(here);
  await reviseAgent(there, agentId, { name: 'Bea' }, asked());
  const opened = await openDiscussion(here, await discussionBody(here, { participants: [{ agentId }] }), asked());
  const [pinned] = existing(opened.state).participants;
  assert.equal([pinned?.name, pinned?.agentVersion], ['Bea', 2]);
  const first = { participants: [{ agentId, version: 1 }] };
  const [older] = existing((await openDiscussion(here, await discussionBody(here, first), asked())).state).participants;
  assert.equal([older?.name, older?.agentVersion], ['Ada', 1]);
});

test('a person answers their own turn; an administrator may for them, nobody else', async () => {
  const world = createWorld();
  const engine = await processOn(world);
  const grace = { ...userWith('administrator', 'default', 'grace'), kind: 'user' as const };
  const open = async () => aDiscussion(engine, { participants: [{ userId: 'grace' }, { userId: 'hopper' }] });
  const one = await open();
  const answered = await postMessage(engine, one.id, { content: 'Tea.', turnId: turnOf(one) }, asked({ actor: grace }));
  assert.equal(
    answered.events.map(({ type }) => type),
    ['TurnCompleted', 'TurnRequested'],
  );
  await refusedIn(world, 'conflict', () =>
    postMessage(engine, one.id, { content: 'Tea!', turnId: turnOf(one) }, asked({ actor: grace })),
  );
  const two = await open();
  const cold = await processOn(world);
  const onBehalf = await postMessage(cold, two.id, { content: 'She says tea.', turnId: turnOf(two) }, asked());
  const [said] = onBehalf.events;
  assert.is(said?.type === 'TurnCompleted' && said.data.participantId, participantOf(two, 0));
});

test('a repetition is answered whatever became of the agents it names', async () => {
  const world = createWorld();
  const engine = await processOn(world);
  const agentId = await anAgent(engine);
  const body = await discussionBody(engine, { participants: [{ agentId }] });
  const opened = await openDiscussion(engine, body, keyed('open'));
  const guest = await anAgent(engine, 'Guest');
  const joined = await joinDiscussion(engine, opened.id, { agentId: guest }, keyed('join'));
  for (const id of [agentId, guest]) await retireAgent(engine, id, asked());
  const again = await openDiscussion(engine, body, keyed('open'));
  assert.equal([again.replayed, again.id, again.revision], [true, opened.id, opened.revision]);
  const joinedAgain = await joinDiscussion(engine, opened.id, { agentId: guest }, keyed('join'));
  assert.equal([joinedAgain.replayed, joinedAgain.revision], [true, joined.revision]);
  await refusedIn(world, 'invalid', () => joinDiscussion(engine, opened.id, { agentId: guest }, asked()));
});

test('who may not write in a project learns nothing about its agents', async () => {
  const world = createWorld();
  const engine = await processOn(world);
  const secret = await anAgent(engine, 'Secret', 'secret');
  const stranger = userWith('administrator', 'default');
  const unknown = '01890a5d-ac96-774b-bcce-b302099a8057';
  for (const agentId of [secret, unknown]) {
    const participants = [{ agentId }];
    const body = await discussionBody(engine, { participants, projectId: 'secret' });
    await refusedIn(world, 'forbidden', () => openDiscussion(engine, body, asked({ actor: stranger })));
    const own = await discussionBody(engine, { participants });
    const refusal = await refusedIn(world, 'invalid', () => openDiscussion(engine, own, asked({ actor: stranger })));
    assert.match(refusal.message, /no such agent in this project/);
  }
  const { id } = await aDiscussion(engine);
  const viewer = asked({ actor: userWith('viewer', 'default') });
  await refusedIn(world, 'forbidden', () => joinDiscussion(engine, id, { agentId: unknown }, viewer));
});

test.run();
