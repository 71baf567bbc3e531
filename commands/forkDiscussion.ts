import { v5 as uuidv5 } from 'uuid';
import { z } from 'zod';
import { decideDiscussion } from '../domain/discussion/decide.ts';
import { givenLimitsSchema, titleSchema, type Newcomer } from '../domain/discussion/commands.ts';
import { policySchema } from '../domain/discussion/events.ts';
import type { ExistingDiscussion } from '../domain/discussion/state.ts';
import { Refusal } from '../domain/refusal.ts';
import { discussions } from './aggregate.ts';
import { authorise, dispatch, type Asked } from './dispatch.ts';
import { existing, type DiscussionOutcome } from './discussionCommand.ts';
import type { Engine } from './engine.ts';
import { readPrefix } from './inheritedState.ts';
import { definedOnly } from './limits.ts';
import { newcomer } from './newcomer.ts';
import { repeated } from './processed.ts';
import { load, refresh } from './states.ts';

/** Another version of the participant's agent (its latest when none is said), or another agent. */
const agentSchema = z.strictObject({ agentId: z.uuid().optional(), version: z.int().min(1).optional() });

export const forkDiscussionSchema = z.strictObject({
  /** The last event that the fork shares. */
  atRevision: z.int().min(0),
  title: titleSchema.optional(),
  overrides: z
    .strictObject({
      policy: policySchema.optional(),
      limits: givenLimitsSchema.optional(),
      /** By participantId. */
      agents: z.record(z.uuid(), agentSchema).optional(),
    })
    .default({}),
});
export type ForkDiscussion = z.output<typeof forkDiscussionSchema>;

/**
 * Makes a discussion that goes on from an event of another one, with its next turn in the same batch. The other one is only
 * read; what is overridden applies to the fork alone.
 * @throws Refusal as `dispatch`; `conflict` for a revision past the end, `invalid` for overrides that cannot be.
 */
export async function forkDiscussion(
  engine: Engine,
  parentId: string,
  body: ForkDiscussion,
  asked: Asked,
): Promise<DiscussionOutcome> {
  const id = uuidv5('discussion', asked.commandId);
  const stream = `discussion-${parentId}`;
  let parent = await load(engine, discussions, stream);
  const { projectId } = existing(parent.state);
  await authorise(engine, asked.actor, { id: parentId, action: 'write' }, discussions.kind, projectId);
  // A repetition answers what was answered first, whatever has happened to the agents since.
  const before = await repeated(engine, discussions, id, asked);
  if (before !== null) return before;
  if (parent.revision < body.atRevision || asked.ifRevision !== undefined)
    parent = await refresh(engine, discussions, stream);
  checkRevisions(parent.revision, body.atRevision, asked);
  const { prefix, prefixHash } = await readPrefix(engine.store, parentId, body.atRevision);
  const { policy, limits, agents } = body.overrides;
  // Prices are checked where models are known: when a discussion is opened.
  if (limits?.maxCostUsd != null)
    throw new Refusal('invalid', 'maxCostUsd can only be given when a discussion is opened');
  const command = {
    kind: 'fork' as const,
    ...{ parentId, prefix, prefixHash, revision: body.atRevision, nonce: engine.ids.nonce() },
    ...(body.title === undefined ? {} : { title: body.title }),
    ...(policy === undefined ? {} : { policy }),
    ...(limits === undefined ? {} : { limits: definedOnly(limits) }),
    ...(agents === undefined
      ? {}
      : { agents: await pinned(engine, existing(prefix.state), agents, limits?.maxCostUsd === null) }),
  };
  // Its own revision is meant by If-Match nowhere: the fork is not there yet.
  const { ifRevision: _ifRevision, ...by } = asked;
  return dispatch(
    engine,
    discussions,
    {
      ...{ id, action: 'write', createsIn: projectId, begun: prefix.state },
      decide: (state, ctx) => decideDiscussion(state, command, ctx),
    },
    by,
  );
}

function checkRevisions(revision: number, atRevision: number, { ifRevision }: Asked): void {
  if (ifRevision !== undefined && ifRevision !== revision)
    throw new Refusal('revision-mismatch', `it is at revision ${revision}: read it again before forking it`, {
      actualRevision: revision,
    });
  if (atRevision > revision)
    throw new Refusal('conflict', `the discussion ends at revision ${revision}: it cannot be forked at ${atRevision}`, {
      actualRevision: revision,
    });
}

/** @param costFree whether the fork gives up its parent's limit of cost. */
async function pinned(
  engine: Engine,
  parent: ExistingDiscussion,
  agents: NonNullable<ForkDiscussion['overrides']['agents']>,
  costFree: boolean,
): Promise<Record<string, Newcomer>> {
  const costLimited = parent.limits.maxCostUsd !== null && !costFree;
  const given = Object.entries(agents).map(async ([participantId, { agentId, version }]) => {
    const before = parent.participants.find((each) => each.participantId === participantId);
    const pointer = `/overrides/agents/${participantId}`;
    const chosen = agentId ?? before?.agentId;
    if (before === undefined || chosen === undefined)
      throw new Refusal('invalid', 'only agents that take part can be given another version', {
        issues: [{ pointer, code: 'not-an-agent', detail: 'is no agent that takes part at that revision' }],
      });
    const pinnedBefore = chosen === before.agentId;
    const who = { agentId: chosen, ...(version === undefined ? {} : { version }) };
    return [participantId, await newcomer(engine, who, parent.projectId, { pointer, costLimited, pinnedBefore })];
  });
  return Object.fromEntries(await Promise.all(given)) as Record<string, Newcomer>;
}
