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

/** Positions and revisions are 64-bit integers in every log: a larger number is a mistake, not a place. */
const LAST_PLACE = 2n ** 63n - 1n;

/** Whether the text is a place in a log or list, at most `last`. */
export function isPlace(text: string, last = LAST_PLACE): boolean {
  return /^\d{1,19}$/.test(text) && BigInt(text) <= last;
}

/** A position of the log, as text: it may not fit a JSON number. */
export function queryPosition() {
  return z
    .string()
    .regex(/^\d{1,19}$/)
    .refine((text) => isPlace(text), { message: 'is not a position' });
}

/** `limit` and `cursor` of every list: 1-200, 50 unless said. */
export const pageShape = {
  limit: queryInteger(1, 200).default(50),
  cursor: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,500}$/)
    .optional(),
};
