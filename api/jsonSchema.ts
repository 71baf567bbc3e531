/** zod schemas as JSON Schema 2020-12, with their definitions collected under `components/schemas`. */
import { z } from 'zod';

export type JsonSchema = Record<string, unknown>;

export interface SchemaCollector {
  /** @param io `input`: what clients send; `output`: what they get. @returns the schema, or a $ref to its component. */
  convert(schema: z.ZodType, io: 'input' | 'output'): JsonSchema;
  /** What was collected: schemas with a `.meta({ id })`, and recursive ones. */
  components(): Record<string, JsonSchema>;
}

/**
 * zod's own conversion, because zod-to-openapi 9.1 never returns from recursive schemas (`z.json()`, in an agent's model
 * parameters: RangeError) and takes `z.coerce` for nullable.
 */
export function createSchemaCollector(): SchemaCollector {
  const components = new Map<string, JsonSchema>();

  /** Two definitions of one name (an id's input and output, or `__schema0` of two documents) get names of their own. */
  const place = (name: string, definition: JsonSchema): string => {
    const base = name.startsWith('__') ? 'Recursive' : name;
    const text = JSON.stringify(definition);
    for (let i = 1; ; i += 1) {
      const candidate = i === 1 ? base : `${base}${i}`;
      const known = sources.get(candidate);
      if (known !== undefined && known !== text) continue;
      sources.set(candidate, text);
      return candidate;
    }
  };
  const sources = new Map<string, string>();

  return {
    convert(schema, io) {
      // Inside a tuple also a schema with an id becomes a definition with a $ref to it.
      const { $defs = {}, prefixItems } = z.toJSONSchema(z.tuple([schema]), { io }) as {
        $defs?: Record<string, JsonSchema>;
        prefixItems?: JsonSchema[];
      };
      const names = new Map(Object.entries($defs).map(([name, definition]) => [name, place(name, definition)]));
      for (const [name, definition] of Object.entries($defs)) {
        const { id: _id, ...rest } = definition;
        components.set(names.get(name) ?? name, renamed(rest, names) as JsonSchema);
      }
      return renamed(prefixItems?.[0] ?? {}, names) as JsonSchema;
    },
    components: () => Object.fromEntries(components),
  };
}

function renamed(value: unknown, names: ReadonlyMap<string, string>): unknown {
  if (Array.isArray(value)) return value.map((element) => renamed(element, names));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => {
      if (key !== '$ref' || typeof inner !== 'string') return [key, renamed(inner, names)];
      const name = inner.replace('#/$defs/', '');
      return [key, `#/components/schemas/${names.get(name) ?? name}`];
    }),
  );
}
