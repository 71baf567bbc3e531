import { discussions } from './aggregate.ts';
import type { Asked } from './dispatch.ts';
import { existing, onDiscussion, type DiscussionOutcome } from './discussionCommand.ts';
import type { Engine } from './engine.ts';
import { newcomer, type NewcomerBody } from './newcomer.ts';
import { load } from './states.ts';
import { Refusal } from '../domain/refusal.ts';

/** Adds a participant; an agent is pinned at a version. */
export async function joinDiscussion(
  engine: Engine,
  id: string,
  body: NewcomerBody,
  asked: Asked,
): Promise<DiscussionOutcome> {
  const discussion = existing((await load(engine, discussions, `discussion-${id}`)).state);
  const object = { project: discussion.projectId, kind: 'discussion', id };
  if (!(await engine.authorizer.may(asked.actor, 'read', object)))
    throw new Refusal('not-found', 'there is no such discussion');
  const costLimited = discussion.limits.maxCostUsd !== null;
  const participant = await newcomer(engine, body, discussion.projectId, { pointer: '', costLimited });
  return onDiscussion(engine, id, { kind: 'join', participant }, asked);
}
