import { z } from 'zod';

/** A project's id. `default` is always there. */
export const projectIdSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, { message: 'must be 1-63 of a-z, 0-9 and -' });
