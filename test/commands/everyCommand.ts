/** Every command with a state in which it is accepted, and one in which it is refused. */
import { abandonTurn } from '../../commands/abandonTurn.ts';
import { cancelTurn } from '../../commands/cancelTurn.ts';
import { changeDiscussion } from '../../commands/changeDiscussion.ts';
import { claimTurn } from '../../commands/claimTurn.ts';
import { completeTurn } from '../../commands/completeTurn.ts';
import { concludeDiscussion } from '../../commands/concludeDiscussion.ts';
import type { Asked, Outcome } from '../../commands/dispatch.ts';
import type { DiscussionOutcome } from '../../commands/discussionCommand.ts';
import type { Engine } from '../../commands/engine.ts';
import { expireDiscussion } from '../../commands/expireDiscussion.ts';
import { forkDiscussion } from '../../commands/forkDiscussion.ts';
import { joinDiscussion } from '../../commands/joinDiscussion.ts';
import { leaveDiscussion } from '../../commands/leaveDiscussion.ts';
import { openDiscussion } from '../../commands/openDiscussion.ts';
import { pauseDiscussion } from '../../commands/pauseDiscussion.ts';
import { postMessage } from '../../commands/postMessage.ts';
import { registerAgent, registerAgentSchema } from '../../commands/registerAgent.ts';
import { requestTurn } from '../../commands/requestTurn.ts';
import { resumeDiscussion } from '../../commands/resumeDiscussion.ts';
import { retireAgent } from '../../commands/retireAgent.ts';
import { retryTurn } from '../../commands/retryTurn.ts';
import { reviseAgent } from '../../commands/reviseAgent.ts';
import { skipTurn } from '../../commands/skipTurn.ts';
import { asked, type World } from './engineForTests.ts';
import { aClaimedDiscussion, aDiscussion, anAgent, answerOf, claimOf, discussionBody } from './scenes.ts';
import { giveUpOf, participantOf, turnOf } from './scenes.ts';

export type Ask = (engine: Engine, asked: Asked) => Promise<Outcome<unknown, { type: string }>>;

export interface Prepared {
  /** Null for a command that makes its stream. */
  readonly id: string | null;
  readonly ask: Ask;
}

export interface Sample {
  /** Types of the events of an accepted one. */
  readonly gives: readonly string[];
  /** It makes its stream of another one, which must be readable. */
  readonly of?: 'another';
  prepare(engine: Engine, world: World): Promise<Prepared>;
}

/** A command on a discussion. */
function onDiscussion(
  gives: readonly string[],
  begin: (engine: Engine) => Promise<DiscussionOutcome>,
  ask: (engine: Engine, begun: DiscussionOutcome, asked: Asked) => Promise<DiscussionOutcome>,
  laterMs = 0,
): Sample {
  return {
    gives,
    async prepare(engine, world) {
      const begun = await begin(engine);
      world.time.nowMs += laterMs;
      return { id: begun.id, ask: (of, by) => ask(of, begun, by) };
    },
  };
}

const opened = (engine: Engine) => aDiscussion(engine);
const manual = (engine: Engine) => aDiscussion(engine, { policy: { kind: 'manual' } });
const hour = 3_600_000;

async function cancelled(engine: Engine): Promise<DiscussionOutcome> {
  const { id, state } = await manual(engine);
  const given = await requestTurn(engine, id, participantOf({ state } as DiscussionOutcome, 0), asked());
  await cancelTurn(engine, id, turnOf(given), asked());
  return given;
}

function personToAnswer(engine: Engine): Promise<DiscussionOutcome> {
  return aDiscussion(engine, { participants: [{ userId: 'grace', answerWithinMs: 60_000 }, { userId: 'ada' }] });
}

async function withDeadline(engine: Engine): Promise<DiscussionOutcome> {
  return aDiscussion(engine, { limits: { deadline: new Date(engine.clock.now() + hour).toISOString() } });
}

async function paused(engine: Engine): Promise<DiscussionOutcome> {
  const { id } = await aDiscussion(engine);
  return pauseDiscussion(engine, id, asked());
}

/** By file name under commands/. */
export const everyCommand: Readonly<Record<string, Sample>> = {
  abandonTurn: onDiscussion(['TurnAttemptAbandoned'], aClaimedDiscussion, (engine, at, by) =>
    abandonTurn(engine, at.id, giveUpOf(at), by),
  ),
  cancelTurn: onDiscussion(['TurnCancelled', 'TurnRequested'], opened, (engine, at, by) =>
    cancelTurn(engine, at.id, turnOf(at), by),
  ),
  changeDiscussion: onDiscussion(['LimitsChanged'], opened, (engine, at, by) =>
    changeDiscussion(engine, at.id, { limits: { maxTurns: 7 } }, by),
  ),
  claimTurn: onDiscussion(['TurnClaimed'], opened, (engine, at, by) =>
    claimTurn(engine, at.id, claimOf(at), at.revision, by),
  ),
  completeTurn: onDiscussion(['TurnCompleted', 'TurnRequested'], aClaimedDiscussion, (engine, at, by) =>
    completeTurn(engine, at.id, answerOf(at), by),
  ),
  concludeDiscussion: onDiscussion(['TurnCancelled', 'DiscussionConcluded'], opened, (engine, at, by) =>
    concludeDiscussion(engine, at.id, { reason: 'decided' }, by),
  ),
  expireDiscussion: onDiscussion(
    ['TurnCancelled', 'DiscussionConcluded'],
    withDeadline,
    (engine, at, by) => expireDiscussion(engine, at.id, by),
    hour,
  ),
  forkDiscussion: {
    gives: ['DiscussionForked', 'TurnCancelled', 'TurnRequested'],
    of: 'another',
    async prepare(engine) {
      const { id, revision } = await aClaimedDiscussion(engine);
      return { id: null, ask: (of, by) => forkDiscussion(of, id, { atRevision: revision, overrides: {} }, by) };
    },
  },
  joinDiscussion: onDiscussion(['ParticipantJoined'], opened, (engine, at, by) =>
    joinDiscussion(engine, at.id, { userId: 'hopper' }, by),
  ),
  leaveDiscussion: onDiscussion(['ParticipantLeft'], opened, (engine, at, by) =>
    leaveDiscussion(engine, at.id, participantOf(at, 1), by),
  ),
  openDiscussion: {
    gives: ['DiscussionOpened', 'ParticipantJoined', 'ParticipantJoined', 'TurnRequested'],
    async prepare(engine) {
      const body = await discussionBody(engine);
      return { id: null, ask: (of, by) => openDiscussion(of, body, by) };
    },
  },
  pauseDiscussion: onDiscussion(['DiscussionPaused'], opened, (engine, at, by) => pauseDiscussion(engine, at.id, by)),
  postMessage: onDiscussion(['MessagePosted'], opened, (engine, at, by) =>
    postMessage(engine, at.id, { content: 'What about cocoa?' }, by),
  ),
  registerAgent: {
    gives: ['AgentRegistered'],
    async prepare() {
      const model = { provider: 'offline', name: 'offline' };
      const body = registerAgentSchema.parse({ name: 'Ada', instructions: '', model });
      return { id: null, ask: (of, by) => registerAgent(of, body, by) };
    },
  },
  requestTurn: onDiscussion(['TurnRequested'], manual, (engine, at, by) =>
    requestTurn(engine, at.id, participantOf(at, 0), by),
  ),
  resumeDiscussion: onDiscussion(['DiscussionResumed'], paused, (engine, at, by) =>
    resumeDiscussion(engine, at.id, by),
  ),
  retireAgent: {
    gives: ['AgentRetired'],
    async prepare(engine) {
      const id = await anAgent(engine);
      return { id, ask: (of, by) => retireAgent(of, id, by) };
    },
  },
  retryTurn: onDiscussion(['TurnRequested'], cancelled, (engine, at, by) => retryTurn(engine, at.id, turnOf(at), by)),
  reviseAgent: {
    gives: ['AgentRevised'],
    async prepare(engine) {
      const id = await anAgent(engine);
      return { id, ask: (of, by) => reviseAgent(of, id, { instructions: 'Be exact.' }, by) };
    },
  },
  skipTurn: onDiscussion(
    ['TurnSkipped', 'TurnRequested'],
    personToAnswer,
    (engine, at, by) => skipTurn(engine, at.id, turnOf(at), by),
    60_000,
  ),
};

/** What is in commands/ beside the commands themselves. */
export const plumbing = [
  ...[
    'aggregate',
    'appendSurely',
    'discussionCommand',
    'dispatch',
    'engine',
    'inheritedState',
    'limits',
    'lineage',
    'newcomer',
    'processed',
    'readRecalled',
    'states',
    'turnstile',
  ],
];
