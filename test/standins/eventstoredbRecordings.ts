/** The recorded answers of a real EventStoreDB 24.6.0 and what its client made of them, read from test/vectors/. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';

const caseSchema = z.object({
  name: z.string(),
  sent: z.record(z.string(), z.unknown()).default({}),
  got: z.unknown(),
});
export type EventStoreCase = z.infer<typeof caseSchema>;

/** The cases of one file of test/vectors/, in their order. */
export function recordedEventStoreCases(file: string): EventStoreCase[] {
  const text = readFileSync(new URL(`../vectors/${file}.ndjson`, import.meta.url), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => caseSchema.parse(JSON.parse(line)));
}
