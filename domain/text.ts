import { z } from 'zod';

/** Texts that Postgres and RFC 8785 can hold: no NUL, no lone surrogates. */
export function plainText(max: number) {
  return z
    .string()
    .max(max)
    .refine((text) => !text.includes('\u0000') && text.isWellFormed(), {
      message: 'must be text: no NUL characters, no lone surrogates',
    });
}

/** One line without control characters, trimmed: names and titles. */
export function lineOfText(max: number) {
  return plainText(max)
    .trim()
    .min(1)
    .refine((text) => !/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(text), {
      message: 'must be one line without control characters',
    });
}

/** Schemas of texts that pass through the `Seal` port on their way into the log. */
export const personalTexts = z.registry<Record<string, never>>();

/** Marks a text as personal in its event's schema. */
export function personal<S extends z.ZodType<string, string>>(schema: S): S {
  const marked = schema.clone();
  personalTexts.add(marked, {});
  return marked;
}

/**
 * Where the personal texts of a schema are: one path per marked text, `*` for every element or key.
 * @returns paths as lists of keys, e.g. `[['content', '*', 'text']]`.
 */
export function personalPaths(schema: z.ZodType, at: readonly string[] = []): string[][] {
  if (personalTexts.has(schema)) return [[...at]];
  if (schema instanceof z.ZodObject)
    return Object.entries(schema.shape as Record<string, z.ZodType>).flatMap(([key, value]) =>
      personalPaths(value, [...at, key]),
    );
  if (schema instanceof z.ZodArray) return personalPaths(schema.element as z.ZodType, [...at, '*']);
  if (schema instanceof z.ZodRecord) return personalPaths(schema.valueType as z.ZodType, [...at, '*']);
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable)
    return personalPaths(schema.unwrap() as z.ZodType, at);
  if (schema instanceof z.ZodUnion)
    return (schema.options as z.ZodType[]).flatMap((option) => personalPaths(option, at));
  return [];
}
