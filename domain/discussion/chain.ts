import { z } from 'zod';

/** Which model of the agent's chain answers an attempt. */
export const chainSchema = z.strictObject({
  /** 0 for the agent's own model, n for its nth fall-back. */
  index: z.int().min(0),
  length: z.int().min(2),
  /**
   * Why a fall-back: the model before it `failed` at this turn, or was passed over because its provider was seen to fail
   * (`circuit_open`). Absent for the agent's own model.
   */
  reason: z.enum(['failed', 'circuit_open']).optional(),
});
export type Chain = z.infer<typeof chainSchema>;
