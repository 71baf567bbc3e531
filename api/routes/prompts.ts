import { z } from 'zod';
import { agents } from '../../commands/aggregate.ts';
import { readLineage } from '../../commands/lineage.ts';
import { readRecalled } from '../../commands/readRecalled.ts';
import { refresh } from '../../commands/states.ts';
import { profileAt } from '../../domain/agent/agent.ts';
import { whySchema, type DiscussionEvent } from '../../domain/discussion/events.ts';
import { createReplay, renderAttempt, type ClaimedAttempt } from '../../domain/discussion/replay.ts';
import { recallSchema, retrievedSchema } from '../../domain/discussion/retrieved.ts';
import { canRender, type RenderedPrompt } from '../../domain/prompt/render.ts';
import { Refusal } from '../../domain/refusal.ts';
import { authorizeDiscussion, type ApiContext } from '../context.ts';
import { queryInteger } from '../queryValues.ts';
import { exampleTurn } from '../resources/turn.ts';
import { defineRoute, type Answer, type RequestContext, type Route } from '../route.ts';

const sha256 = z.string().length(64);

const promptSchema = z
  .strictObject({
    turnId: z.uuid(),
    number: z.int(),
    participantId: z.uuid(),
    attempt: z.int(),
    /** Which renderer made it; all that ever were are kept. */
    renderer: z.string(),
    /** The exact string that was hashed: canonical JSON of renderer, model, parameters and messages. */
    canonical: z.string(),
    /** Of `canonical`, rendered just now from the log alone. */
    sha256,
    /** What the attempt's claim recorded before the model was asked. */
    recordedSha256: sha256,
    matches: z.boolean(),
    messages: z.array(z.strictObject({ role: z.enum(['system', 'user', 'assistant']), content: z.string() })),
    /** What the agent recalled, in the order in which it was shown; null for one without a memory. */
    retrieved: z.array(retrievedSchema).nullable(),
    /** How it was looked for, and why in vain. */
    recall: recallSchema.nullable(),
    /** Why this participant was given the floor. */
    why: whySchema,
  })
  .meta({ id: 'Prompt' });

const hash = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08';
const example = {
  turnId: exampleTurn.turnId,
  number: exampleTurn.number,
  participantId: exampleTurn.participantId,
  attempt: 1,
  renderer: 'r2',
  canonical: '{"messages":[{"content":"You take part in a discussion.","role":"system"}],"model":{},"renderer":"r2"}',
  sha256: hash,
  recordedSha256: hash,
  matches: true,
  messages: [{ role: 'system' as const, content: 'You take part in a discussion.' }],
  retrieved: [
    {
      ...{ eventId: exampleTurn.turnId, stream: 'discussion-01890a5d-ac96-774b-bcce-b302099a8057', revision: 12 },
      ...{ kind: 'message' as const, from: 0, to: 84, score: 0.71, author: 'Ada' },
    },
  ],
  recall: { scope: 'discussion' as const, model: 'builtin' },
  why: exampleTurn.why,
};

/** What models were sent, rendered again from the log. */
export function promptRoutes(ctx: ApiContext): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/discussions/{id}/turns/{turnId}/prompt',
      operationId: 'getPrompt',
      summary: 'The exact prompt of an attempt, rendered again from the log, and the hash that was recorded of it',
      tags: ['turns'],
      auth: 'bearer',
      action: 'read',
      params: z.strictObject({ id: z.uuid(), turnId: z.uuid() }),
      /** The one that completed the turn unless said, or the last one. */
      query: z.strictObject({ attempt: queryInteger(1, 1_000_000).optional() }),
      problems: ['not-found', 'conflict'],
      responses: { 200: { description: 'The prompt', schema: promptSchema, example } },
      async handler(request) {
        const { id, turnId } = request.params;
        await authorizeDiscussion(ctx, request, id);
        return answer(await renderedAgain(ctx, await findAttempt(ctx, request, id, turnId, request.query.attempt)));
      },
    }),
  ];
}

async function findAttempt(
  ctx: ApiContext,
  { signal }: RequestContext,
  discussionId: string,
  turnId: string,
  wanted: number | undefined,
): Promise<ClaimedAttempt> {
  const replay = createReplay();
  let answeredBy: 'model' | 'participant' | null = null;
  let found: ClaimedAttempt | null = null;
  for await (const { event, index } of readLineage(ctx.engine.store, discussionId)) {
    signal.throwIfAborted();
    const attempt = replay.next(event, index);
    if (attempt?.turn.turnId === turnId && attempt.attempt === (wanted ?? attempt.attempt)) found = attempt;
    const { type, data } = event as typeof event & DiscussionEvent;
    if (type === 'TurnRequested' && data.turnId === turnId) answeredBy = data.answeredBy;
    // No attempt begins after a turn's end.
    if (answeredBy !== null && replay.state.status !== 'none' && replay.state.turn?.turnId !== turnId) break;
  }
  if (answeredBy === null) throw new Refusal('not-found', 'there is no such turn');
  if (answeredBy === 'participant')
    throw new Refusal('not-found', 'this turn was for its participant to answer: no model was sent a prompt');
  if (found !== null) return found;
  const detail =
    wanted === undefined
      ? 'no attempt at this turn has begun: there is no prompt yet'
      : `this turn has no attempt ${wanted}`;
  throw new Refusal('not-found', detail);
}

type Rendered = RenderedPrompt & { readonly of: ClaimedAttempt };

async function renderedAgain(ctx: ApiContext, of: ClaimedAttempt): Promise<Rendered> {
  const { renderer, agentVersion } = of.record;
  if (!canRender(renderer))
    throw new Refusal(
      'conflict',
      `this prompt was made by renderer ${renderer}: ask a newer program, this one has none`,
    );
  const { state } = await refresh(ctx.engine, agents, `agent-${of.agentId}`);
  const recalled = await readRecalled(ctx.engine.store, of.before.projectId, of.record);
  return { ...renderAttempt(of, profileAt(state, agentVersion).instructions, recalled), of };
}

function answer({ of, canonical, sha256, messages }: Rendered): Answer {
  const { turn, attempt, record, why } = of;
  const { turnId, number, participantId } = turn;
  const matches = sha256 === record.sha256;
  const hashes = { sha256, recordedSha256: record.sha256, matches };
  const { renderer, retrieved = null, recall = null } = record;
  const asked = { turnId, number, participantId, attempt, renderer };
  return { body: { ...asked, canonical, ...hashes, messages, retrieved, recall, why } };
}
