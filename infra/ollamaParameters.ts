import type { Options } from 'ollama';
import { type GenerateRequest, type ModelParameters, parametersSchema } from '../domain/model.ts';
import type { RefusalIssue } from '../domain/refusal.ts';
import { OllamaFault } from './ollamaFault.ts';

/** Written at most when nobody says: 0 and negatives mean "no limit" to Ollama (O10), and so does saying nothing. */
const DEFAULT_OUTPUT_TOKENS = 512;
const MAX_FORMAT_CHARACTERS = 32_768;
const MAX_FORMAT_DEPTH = 16;
const MAX_MESSAGES = 10_000;
/** 4 characters a token, 128 thousand tokens, four times over. */
const MAX_PROMPT_CHARACTERS = 2_000_000;
const JSON_TYPES = ['string', 'number', 'integer', 'boolean', 'object', 'array', 'null'];
const MODEL_NAME =
  /^(?:[a-z0-9_][\w.:-]{0,200}\/)?(?:[a-z0-9_][\w-]{0,79}\/)?[a-z0-9_][\w.-]{0,79}(?::[\w][\w.-]{0,79})?$/i;

/**
 * What is wrong with parameters that Ollama would answer with 500 or pass in silence (O9), one issue each, pointers
 * relative to the parameters; none when they may be sent.
 */
export function ollamaParameterIssues(parameters: unknown): RefusalIssue[] {
  const result = parametersSchema.safeParse(parameters);
  if (!result.success)
    return result.error.issues.map((issue) => ({
      pointer: `/${issue.path.join('/')}`,
      code: issue.code,
      detail: issue.message,
    }));
  const { format } = result.data;
  if (typeof format !== 'object') return [];
  if (JSON.stringify(format).length > MAX_FORMAT_CHARACTERS)
    return [
      { pointer: '/format', code: 'too_big', detail: `a schema has at most ${MAX_FORMAT_CHARACTERS} characters` },
    ];
  return schemaIssues(format, '/format', 0);
}

/** A type that llama.cpp's grammar does not know is answered with 500 `invalid JSON schema in format`. */
function schemaIssues(node: unknown, pointer: string, depth: number): RefusalIssue[] {
  if (depth > MAX_FORMAT_DEPTH)
    return [{ pointer, code: 'too_deep', detail: `a schema is at most ${MAX_FORMAT_DEPTH} deep` }];
  if (typeof node !== 'object' || node === null || Array.isArray(node)) return [];
  const schema = node as Record<string, unknown>;
  const issues: RefusalIssue[] = [];
  const types = Array.isArray(schema['type']) ? (schema['type'] as unknown[]) : [schema['type'] ?? 'object'];
  if (!types.every((type) => typeof type === 'string' && JSON_TYPES.includes(type)))
    issues.push({ pointer: `${pointer}/type`, code: 'invalid_value', detail: `one of ${JSON_TYPES.join(', ')}` });
  for (const key of ['properties', '$defs', 'definitions'])
    for (const [name, inner] of Object.entries((schema[key] ?? {}) as Record<string, unknown>))
      issues.push(...schemaIssues(inner, `${pointer}/${key}/${name}`, depth + 1));
  for (const key of ['items', 'additionalProperties'])
    if (key in schema) issues.push(...schemaIssues(schema[key], `${pointer}/${key}`, depth + 1));
  for (const key of ['anyOf', 'oneOf', 'allOf', 'prefixItems'])
    if (Array.isArray(schema[key]))
      for (const [i, inner] of (schema[key] as unknown[]).entries())
        issues.push(...schemaIssues(inner, `${pointer}/${key}/${i}`, depth + 1));
  return issues;
}

/** @throws OllamaFault `invalid` for a request that must not be sent. */
export function checkRequest(request: GenerateRequest): void {
  checkModelName(request.model);
  const [issue] = ollamaParameterIssues(request.parameters);
  if (issue) throw new OllamaFault('invalid', `the parameters do not fit Ollama: ${issue.pointer} ${issue.detail}`);
  // An empty list is an order to load the model, not a question.
  if (request.messages.length === 0) throw new OllamaFault('invalid', 'a prompt without messages cannot be sent');
  const characters = request.messages.reduce((sum, message) => sum + message.content.length, 0);
  if (request.messages.length > MAX_MESSAGES || characters > MAX_PROMPT_CHARACTERS)
    throw new OllamaFault(
      'invalid',
      `a prompt has at most ${MAX_PROMPT_CHARACTERS} characters in ${MAX_MESSAGES} messages`,
    );
}

/** A malformed name is answered as if none were given (O9). */
export function checkModelName(name: string): void {
  if (!MODEL_NAME.test(name))
    throw new OllamaFault('invalid', 'the name of the model is malformed: family:tag is expected');
}

/** @param stops the model's own stop phrases: any list of ours would replace them (O10). */
export function optionsFor(parameters: ModelParameters, numCtx: number, stops: readonly string[]): Partial<Options> {
  const { format: _format, stop, ...sampling } = parameters;
  const given = Object.fromEntries(Object.entries(sampling).filter(([, value]) => value !== undefined));
  return {
    ...given,
    num_ctx: numCtx,
    num_predict: parameters.num_predict ?? DEFAULT_OUTPUT_TOKENS,
    ...(stop === undefined || stop.length === 0 ? {} : { stop: [...new Set([...stop, ...stops])] }),
  };
}
