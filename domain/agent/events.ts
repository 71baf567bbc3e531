import { z } from 'zod';
import { parametersSchema, providers } from '../model.ts';
import { lineOfText, plainText } from '../text.ts';

export const modelSchema = z.strictObject({
  provider: z.enum(providers),
  name: lineOfText(200),
  parameters: parametersSchema.optional(),
});
export type AgentModel = z.infer<typeof modelSchema>;

/** Models of the same provider and name are the same model, whatever their parameters. */
export const fallbacksSchema = z
  .array(modelSchema.extend({ provider: z.enum(providers).exclude(['external']) }))
  .max(4)
  .refine((models) => new Set(models.map(({ provider, name }) => `${provider}/${name}`)).size === models.length, {
    message: 'must not name a model twice',
  });

export type Fallbacks = z.infer<typeof fallbacksSchema>;

/** What an agent recalls before it speaks, of what its prompt does not show (any more). */
export const memorySchema = z.strictObject({
  /** Where it is looked for: in the discussion alone, or in all of its project. */
  scope: z.enum(['discussion', 'project']),
  /** Most passages for one turn. */
  k: z.int().min(1).max(20).default(5),
  /** Most tokens for them, taken off what document and messages may use. */
  maxTokens: z.int().min(50).max(8_000).default(600),
  /** Cosine similarity below which nothing is recalled. */
  minScore: z.number().min(-1).max(1).default(0.3),
});
export type AgentMemory = z.infer<typeof memorySchema>;

/** What an agent is, at one version. */
export const profileSchema = z.strictObject({
  name: lineOfText(64).refine((name) => !/[@<>[\]{}|]/.test(name), {
    message: 'must not contain any of @ < > [ ] { } |',
  }),
  instructions: plainText(20_000),
  model: modelSchema,
  /** Asked in this order when the model before them failed. */
  fallbacks: fallbacksSchema.optional(),
  memory: memorySchema.optional(),
});
export type AgentProfile = z.infer<typeof profileSchema>;

export const agentEvents = {
  AgentRegistered: { version: 1, schema: z.strictObject({ projectId: z.string(), profile: profileSchema }) },
  AgentRevised: { version: 1, schema: z.strictObject({ version: z.int().min(2), profile: profileSchema }) },
  AgentRetired: { version: 1, schema: z.strictObject({ reason: plainText(500).optional() }) },
} as const;

export type AgentEvent = {
  [T in keyof typeof agentEvents]: { type: T; data: z.infer<(typeof agentEvents)[T]['schema']> };
}[keyof typeof agentEvents];
