import { z } from 'zod';
import { ModelFailure } from '../domain/model.ts';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Schema = Readonly<Record<string, unknown>>;

/** What a value may be made from. */
export interface ShapeMaterial {
  /** For strings that are free. */
  readonly text: string;
  /** Picks one of the allowed values. */
  choose(allowed: readonly unknown[]): unknown;
}

const MAX_DEPTH = 24;
const MAX_ITEMS = 100;
/** Keywords that could turn down what is made here and that it does not know how to serve. */
const UNSERVED = [
  'not',
  'if',
  'pattern',
  'contains',
  'dependentRequired',
  'dependentSchemas',
  'minProperties',
  'contentEncoding',
];

/**
 * The simplest JSON value that fits a JSON Schema: required properties only, the first alternative that works.
 * @throws ModelFailure `invalid_output`, not to be repeated, when none is found.
 */
export function shapedAnswer(schema: Schema, material: ShapeMaterial): Json {
  const value = valueFor(schema, { schema, material }, 0);
  if (value === undefined || !fits(schema, value))
    throw new ModelFailure('invalid_output', 'the offline model found no value that fits the requested schema', {
      retryable: false,
    });
  return value;
}

/** A second opinion on what was built: combinations such as `oneOf` or a `const` of another type. */
function fits(schema: Schema, value: Json): boolean {
  try {
    return z.fromJSONSchema(schema).safeParse(value).success;
  } catch {
    return false;
  }
}

interface Context {
  readonly schema: Schema;
  readonly material: ShapeMaterial;
}

function valueFor(schema: unknown, context: Context, depth: number): Json | undefined {
  if (schema === true) return context.material.text;
  if (!isObject(schema) || depth > MAX_DEPTH || UNSERVED.some((keyword) => keyword in schema)) return undefined;
  if ('const' in schema) return schema.const as Json;
  if (Array.isArray(schema.enum)) return context.material.choose(schema.enum as unknown[]) as Json | undefined;
  if (typeof schema.$ref === 'string') return valueFor(referred(schema.$ref, context.schema), context, depth + 1);
  const alternatives = schema.anyOf ?? schema.oneOf;
  if (Array.isArray(alternatives)) return firstValue(alternatives as unknown[], context, depth);
  if (Array.isArray(schema.allOf))
    return valueFor(
      Object.assign({}, { ...schema, allOf: undefined }, ...(schema.allOf as unknown[])),
      context,
      depth + 1,
    );
  const types: unknown[] = Array.isArray(schema.type)
    ? (schema.type as unknown[])
    : [schema.type ?? guessedType(schema)];
  return firstValue(
    types.map((type) => ({ type })),
    context,
    depth,
    (type) => typedValue((type as { type: unknown }).type, schema, context, depth),
  );
}

function firstValue(
  options: readonly unknown[],
  context: Context,
  depth: number,
  make = (option: unknown) => valueFor(option, context, depth + 1),
): Json | undefined {
  for (const option of options.slice(0, MAX_ITEMS)) {
    const value = make(option);
    if (value !== undefined) return value;
  }
  return undefined;
}

function typedValue(type: unknown, schema: Schema, context: Context, depth: number): Json | undefined {
  switch (type) {
    case 'object':
      return objectValue(schema, context, depth);
    case 'array':
      return arrayValue(schema, context, depth);
    case 'string':
      return stringValue(schema, context.material.text);
    case 'integer':
    case 'number':
      return numberValue(schema, type === 'integer');
    case 'boolean':
      return true;
    case 'null':
      return null;
    default:
      return undefined;
  }
}

function objectValue(schema: Schema, context: Context, depth: number): Json | undefined {
  const properties = isObject(schema.properties) ? schema.properties : {};
  const required = Array.isArray(schema.required) ? schema.required.filter((key) => typeof key === 'string') : [];
  if (required.length > MAX_ITEMS) return undefined;
  const made: [string, Json][] = [];
  for (const key of required) {
    const value = valueFor(
      Object.hasOwn(properties, key) ? properties[key] : (schema.additionalProperties ?? true),
      context,
      depth + 1,
    );
    if (value === undefined) return undefined;
    made.push([key, value]);
  }
  return Object.fromEntries(made);
}

function arrayValue(schema: Schema, context: Context, depth: number): Json | undefined {
  const least = typeof schema.minItems === 'number' ? schema.minItems : 0;
  if (least > MAX_ITEMS || (least > 1 && schema.uniqueItems === true)) return undefined;
  const items: Json[] = [];
  for (let i = 0; i < least; i++) {
    const prefix = Array.isArray(schema.prefixItems) ? (schema.prefixItems as unknown[])[i] : undefined;
    const item = valueFor(prefix ?? schema.items ?? true, context, depth + 1);
    if (item === undefined) return undefined;
    items.push(item);
  }
  return items;
}

function stringValue(schema: Schema, text: string): string | undefined {
  if (schema.format !== undefined) return undefined;
  const most = typeof schema.maxLength === 'number' ? schema.maxLength : Infinity;
  const least = typeof schema.minLength === 'number' ? schema.minLength : 0;
  const cut = [...text].slice(0, most).join('').trimEnd();
  return [...cut].length < least ? undefined : cut;
}

function numberValue(schema: Schema, whole: boolean): number | undefined {
  const bound = (key: string, otherwise: number) => (typeof schema[key] === 'number' ? schema[key] : otherwise);
  const least = Math.max(bound('minimum', -Infinity), bound('exclusiveMinimum', -Infinity));
  const most = Math.min(bound('maximum', Infinity), bound('exclusiveMaximum', Infinity));
  const step = bound('multipleOf', whole ? 1 : 0);
  const near = Math.min(Math.max(0, least), most);
  const candidates =
    step > 0
      ? [Math.ceil(near / step) * step, (Math.floor(near / step) + 1) * step]
      : [near, (least + most) / 2, near + 1];
  return candidates.find(
    (value) =>
      Number.isFinite(value) &&
      value >= least &&
      value <= most &&
      value !== schema.exclusiveMinimum &&
      value !== schema.exclusiveMaximum &&
      (!whole || Number.isInteger(value)),
  );
}

function guessedType(schema: Schema): string {
  if ('properties' in schema || 'required' in schema) return 'object';
  return 'items' in schema ? 'array' : 'string';
}

/** Only references into the schema itself. */
function referred(reference: string, root: Schema): unknown {
  if (!reference.startsWith('#')) return undefined;
  let node: unknown = root;
  for (const part of reference.split('/').slice(1)) {
    const key = part.replace(/~1/g, '/').replace(/~0/g, '~');
    node = isObject(node) && Object.hasOwn(node, key) ? node[key] : undefined;
  }
  return node;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
