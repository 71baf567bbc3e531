import { z } from 'zod';
import { authorizeDiscussion, awaitConsistency, type ApiContext } from '../context.ts';
import { defineRoute, type Route } from '../route.ts';

const sum = {
  attempts: z.int(),
  inputTokens: z.int(),
  outputTokens: z.int(),
  /** Of these tokens, how many no provider reported: estimated, or charged for a lost worker. */
  unreportedTokens: z.int(),
  /** Set aside for attempts that are running. */
  reservedTokens: z.int(),
};
const schema = z
  .strictObject({
    ...sum,
    byParticipant: z.array(z.strictObject({ participantId: z.uuid().nullable(), ...sum })),
    byModel: z.array(z.strictObject({ provider: z.string().nullable(), model: z.string().nullable(), ...sum })),
  })
  .meta({ id: 'Usage' });
const one = { attempts: 3, inputTokens: 2100, outputTokens: 320, unreportedTokens: 0, reservedTokens: 0 };
const example = {
  ...one,
  byParticipant: [{ participantId: '0a3f1c52-6f0c-5ab4-9d24-6f1a4c3f4a11', ...one }],
  byModel: [{ provider: 'offline', model: 'offline', ...one }],
};

/** Tokens, each counted once. */
export function usageRoutes(ctx: ApiContext): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/discussions/{id}/usage',
      operationId: 'getUsage',
      summary: 'Tokens that a discussion has used, by participant and by model',
      tags: ['usage'],
      auth: 'bearer',
      action: 'read',
      params: z.strictObject({ id: z.uuid() }),
      problems: ['not-found', 'projection-behind'],
      responses: { 200: { description: 'Sums', schema, example } },
      async handler(request) {
        const { id } = request.params;
        const parts = await authorizeDiscussion(ctx, request, id);
        await awaitConsistency(ctx, request, ['usage']);
        const [total, byParticipant, byModel] = await Promise.all([
          ctx.usage.ofDiscussion(parts),
          ctx.usage.byParticipant(parts),
          ctx.usage.byModel(parts),
        ]);
        return { body: { ...total, byParticipant, byModel } };
      },
    }),
  ];
}
