import { v5 as uuidv5 } from 'uuid';
import { z } from 'zod';
import { decideDiscussion } from '../domain/discussion/decide.ts';
import { contextTextSchema, givenLimitsSchema, titleSchema, topicSchema } from '../domain/discussion/commands.ts';
import { defaultLimits, policySchema } from '../domain/discussion/events.ts';
import { projectIdSchema } from '../domain/project.ts';
import { discussions } from './aggregate.ts';
import { authorise, dispatch, type Asked } from './dispatch.ts';
import type { DiscussionOutcome } from './discussionCommand.ts';
import type { Engine } from './engine.ts';
import { definedOnly } from './limits.ts';
import { newcomer, newcomerSchema } from './newcomer.ts';
import { repeated } from './processed.ts';

export const openDiscussionSchema = z.strictObject({
  title: titleSchema,
  topic: topicSchema,
  participants: z.array(newcomerSchema).max(100).default([]),
  policy: policySchema.default({ kind: 'round-robin' }),
  limits: givenLimitsSchema.default({}),
  context: z
    .strictObject({
      text: contextTextSchema.optional(),
      documentIds: z
        .array(z.never('documents are not there yet: give the text itself'))
        .max(0, 'documents are not there yet: give the text itself')
        .optional(),
    })
    .default({}),
  priority: z.int().min(0).max(9).default(5),
  projectId: projectIdSchema.default('default'),
  autostart: z.boolean().default(true),
});
export type OpenDiscussion = z.output<typeof openDiscussionSchema>;

/** Opens a discussion and requests its first turn in the same batch. */
export async function openDiscussion(engine: Engine, body: OpenDiscussion, asked: Asked): Promise<DiscussionOutcome> {
  const id = uuidv5('discussion', asked.commandId);
  // Before the agents are looked at: who may not write here learns nothing about them.
  const target = { id, action: 'write' as const, createsIn: body.projectId };
  await authorise(engine, asked.actor, target, discussions.kind, body.projectId);
  // A repetition answers what was answered first, whatever has happened to its agents since.
  const before = await repeated(engine, discussions, id, asked);
  if (before !== null) return before;
  const { context, participants, limits, projectId, ...rest } = body;
  const given = { ...defaultLimits, ...definedOnly(limits) };
  const costLimited = given.maxCostUsd !== null;
  const pinned = await Promise.all(
    participants.map((each, i) => newcomer(engine, each, projectId, { pointer: `/participants/${i}`, costLimited })),
  );
  const text = context.text === undefined ? {} : { contextText: context.text };
  const command = {
    kind: 'open' as const,
    ...rest,
    projectId,
    nonce: engine.ids.nonce(),
    limits: given,
    participants: pinned,
    ...text,
  };
  return dispatch(
    engine,
    discussions,
    { ...target, decide: (state, ctx) => decideDiscussion(state, command, ctx) },
    asked,
  );
}
