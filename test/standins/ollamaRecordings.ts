/** The recorded answers of a real Ollama 0.17.4, read from test/vectors/ and filled in where the recording says `<…>`. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';

const caseSchema = z.object({
  name: z.string(),
  sent: z.record(z.string(), z.unknown()).default({}),
  got: z.unknown(),
});
export type RecordedCase = z.infer<typeof caseSchema>;

const gotSchema = z.object({
  as: z.string().optional(),
  but: z.record(z.string(), z.unknown()).optional(),
  status: z.number().optional(),
  type: z.string().optional(),
  body: z.record(z.string(), z.unknown()).optional(),
  text: z.string().optional(),
  frames: z.array(z.record(z.string(), z.unknown())).optional(),
});
export type RecordedAnswer = z.infer<typeof gotSchema>;

/** The cases of one file of test/vectors/, in their order. */
export function recordedCases(file: string): RecordedCase[] {
  const text = readFileSync(new URL(`../vectors/${file}.ndjson`, import.meta.url), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => caseSchema.parse(JSON.parse(line)));
}

const wire = new Map(recordedCases('ollama').map((one) => [one.name, one]));

/** What was answered to a case of ollama.ndjson, `as` and `but` applied; null for a row that holds no answer. */
export function recordedAnswer(name: string): RecordedAnswer | null {
  const result = gotSchema.safeParse(wire.get(name)?.got);
  if (!result.success) return null;
  const { as, but, ...own } = result.data;
  if (as === undefined) return own;
  const base = recordedAnswer(as);
  return base && { ...base, ...own, body: { ...base.body, ...but } };
}

let stamps = 0;

/** Fills in the placeholders of a recorded value; times carry nanoseconds and never repeat, as the server's do. */
export function filledIn(value: unknown, fill: { text?: string; count?: number } = {}): unknown {
  if (Array.isArray(value)) return value.map((item) => filledIn(item, fill));
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, filledIn(inner, fill)]));
  if (typeof value !== 'string') return value;
  if (value === '<text>') return fill.text ?? 'text';
  if (value === '<ns>') return 1_000_000;
  if (value === '<n>') return fill.count ?? 1;
  if (value === '<digest>') return 'd'.repeat(64);
  if (value === '<stop or length>' || value === '<stop>') return 'stop';
  if (value !== '<time>') return value;
  stamps += 1;
  return new Date(1_790_000_000_000 + stamps)
    .toISOString()
    .replace('Z', `${String(stamps % 1_000_000).padStart(6, '0')}Z`);
}

/**
 * The frames of a recorded stream, one text each, then its done frame with these counts.
 * @param name of a case of ollama.ndjson that holds frames.
 */
export function recordedFrames(
  name: string,
  texts: readonly string[],
  promptTokens?: number,
): Record<string, unknown>[] {
  const frames = recordedAnswer(name)?.frames ?? [];
  const [piece] = frames;
  const done = frames.at(-1);
  if (!piece || !done) throw new Error(`${name} holds no frames`);
  const { times: _times, ...frame } = piece;
  const all = texts.map((text) => filledIn(frame, { text }) as Record<string, unknown>);
  const counts = promptTokens === undefined ? {} : { prompt_eval_count: promptTokens };
  const last = filledIn({ ...done, ...counts, eval_count: texts.length }, { count: texts.length });
  return [...all, last as Record<string, unknown>];
}
