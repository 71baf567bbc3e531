import { discussions } from './aggregate.ts';
import { authorise, type Asked } from './dispatch.ts';
import { existing, onDiscussion, type DiscussionOutcome } from './discussionCommand.ts';
import type { Engine } from './engine.ts';
import { newcomer, type NewcomerBody } from './newcomer.ts';
import { repeated } from './processed.ts';
import { load } from './states.ts';

/** Adds a participant; an agent is pinned at a version. */
export async function joinDiscussion(
  engine: Engine,
  id: string,
  body: NewcomerBody,
  asked: Asked,
): Promise<DiscussionOutcome> {
  const discussion = existing((await load(engine, discussions, `discussion-${id}`)).state);
  // Before the agent is looked at: who may not write here learns nothing about it.
  await authorise(engine, asked.actor, { id, action: 'write' }, discussions.kind, discussion.projectId);
  // A repetition answers what was answered first, whatever has happened to the agent since.
  const before = await repeated(engine, discussions, id, asked);
  if (before !== null) return before;
  const costLimited = discussion.limits.maxCostUsd !== null;
  const participant = await newcomer(engine, body, discussion.projectId, { pointer: '', costLimited });
  return onDiscussion(engine, id, { kind: 'join', participant }, asked);
}
