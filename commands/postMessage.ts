import { z } from 'zod';
import { contentSchema, MAX_TEXT, textContent } from '../domain/content.ts';
import { plainText } from '../domain/text.ts';
import { discussions } from './aggregate.ts';
import type { Asked } from './dispatch.ts';
import { onDiscussion, type DiscussionOutcome } from './discussionCommand.ts';
import type { Engine } from './engine.ts';
import { load } from './states.ts';

export const postMessageSchema = z.strictObject({
  content: z.union([plainText(MAX_TEXT).min(1), contentSchema]),
  replyTo: z.uuid().optional(),
  /** The turn it answers, for people and external agents. */
  turnId: z.uuid().optional(),
});

/** Posts a message of the actor, or answers a turn that waits for one. */
export async function postMessage(
  engine: Engine,
  id: string,
  body: z.output<typeof postMessageSchema>,
  asked: Asked,
): Promise<DiscussionOutcome> {
  const { state } = await load(engine, discussions, `discussion-${id}`);
  const project = discussions.projectOf(state);
  const onBehalf =
    project !== null &&
    body.turnId !== undefined &&
    (await engine.authorizer.may(asked.actor, 'administer', { project, kind: 'discussion', id }));
  const content = typeof body.content === 'string' ? textContent(body.content) : body.content;
  const extra = {
    ...(body.replyTo === undefined ? {} : { replyTo: body.replyTo }),
    ...(body.turnId === undefined ? {} : { turnId: body.turnId }),
  };
  const author = { userId: asked.actor.id, name: asked.actor.id };
  return onDiscussion(engine, id, { kind: 'post', author, onBehalf, content, ...extra }, asked);
}
