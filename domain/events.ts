import type { z } from 'zod';
import { agentEvents } from './agent/events.ts';
import { discussionEvents } from './discussion/events.ts';
import { personalPaths } from './text.ts';

interface EventDefinition {
  readonly version: number;
  readonly schema: z.ZodType;
  /** From version n to n + 1, for each n below `version`. */
  readonly upcasts?: Readonly<Record<number, (data: unknown) => unknown>>;
  /** Paths of its personal texts. */
  readonly personal: readonly (readonly string[])[];
}

const definitions = new Map<string, EventDefinition>();
for (const [type, definition] of [...Object.entries(agentEvents), ...Object.entries(discussionEvents)])
  definitions.set(type, { ...definition, personal: personalPaths(definition.schema) });

/** The schema of an event type; undefined for a type that this program does not know. */
export function eventDefinition(type: string): EventDefinition | undefined {
  return definitions.get(type);
}

/** Every event type that this program writes. */
export function eventTypes(): string[] {
  return [...definitions.keys()];
}
