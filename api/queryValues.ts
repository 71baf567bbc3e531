/**
 * Values in a query string are texts; these read them without coercion's surprises (`Number('')` is 0, `Number('0x10')`
 * is 16) and show their real type in the OpenAPI document.
 */
import { z } from 'zod';

/** A whole number in plain digits. @returns a schema to put `.optional()` or `.default(n)` after. */
export function queryInteger(min: number, max: number) {
  return z.preprocess(
    (value) => (typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value),
    z.int().min(min).max(max),
  );
}

/** `true` or `false`. */
export function queryBoolean() {
  return z.preprocess((value) => (value === 'true' ? true : value === 'false' ? false : value), z.boolean());
}

/** `limit` and `cursor` of every list: 1-200, 50 unless said. */
export const pageShape = {
  limit: queryInteger(1, 200).default(50),
  cursor: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,500}$/)
    .optional(),
};
