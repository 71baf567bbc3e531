/** The settings: one schema, and the only reader of the environment. */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import { Refusal } from '../domain/refusal.ts';

const url = z.url().transform((text) => text.replace(/\/+$/, ''));
const listOf = (text: string) =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
const whole = (min: number, max: number) => z.coerce.number().int().min(min).max(max);

/** Every setting by its name in the environment, with its default and meaning. */
export const settingsSchema = z.object({
  PORT: whole(0, 65_535).default(4400).describe('port of the API; the next free one is taken when it is busy'),
  HOST: z.string().min(1).default('127.0.0.1').describe('address the API listens on'),
  COLLOQUY_DATA: z.string().min(1).default('./.colloquy').describe('folder of the embedded database, keys and tokens'),
  DATABASE_URL: z
    .string()
    .startsWith('postgres')
    .optional()
    .describe('a PostgreSQL server instead of the embedded one'),
  DATABASE_READ_URL: z
    .string()
    .startsWith('postgres')
    .optional()
    .describe('a read replica of that server, for the queries of the API'),
  DATABASE_POOL: whole(2, 200).default(10).describe('connections of this process to DATABASE_URL at most'),
  DATABASE_SLOW_MS: whole(1, 600_000).default(500).describe('queries that take longer are counted and logged as slow'),
  EVENTSTORE_URL: z
    .string()
    .regex(/^(esdb|eventstore|kurrent(db)?)(\+discover)?:\/\//, 'begins with esdb:// or esdb+discover://')
    .optional()
    .describe('an EventStoreDB for the log; needs DATABASE_URL for the read models'),
  NATS_URL: z
    .string()
    .min(1)
    .optional()
    .describe('NATS servers with JetStream, separated by commas; several processes need one'),
  WEAVIATE_URL: z.string().optional().describe('not supported yet'),
  OLLAMA_URL: url.default('http://127.0.0.1:11434').describe('an Ollama server'),
  OLLAMA_NUM_CTX: whole(256, 1_048_576).default(4096).describe('context in tokens for agents that do not set num_ctx'),
  OLLAMA_CONCURRENCY: whole(1, 64).default(1).describe('calls to Ollama at once; more wait here'),
  OPENAI_API_KEY: z.string().min(1).optional().describe('makes the models of OpenAI available'),
  OPENAI_BASE_URL: url.default('https://api.openai.com/v1').describe('OpenAI, or any server that speaks its protocol'),
  OPENAI_CONTEXT_TOKENS: whole(256, 10_000_000)
    .default(128_000)
    .describe('context in tokens of the models at OPENAI_BASE_URL, which does not tell'),
  ANTHROPIC_API_KEY: z.string().min(1).optional().describe('makes the models of Anthropic available'),
  ANTHROPIC_BASE_URL: url
    .default('https://api.anthropic.com')
    .describe('Anthropic, or a server that speaks its protocol'),
  ANTHROPIC_CONTEXT_TOKENS: whole(256, 10_000_000)
    .default(200_000)
    .describe('context in tokens of the models at ANTHROPIC_BASE_URL'),
  OFFLINE_TOKENS_PER_SECOND: z.coerce
    .number()
    .positive()
    .optional()
    .describe('pace of the built-in offline model; at most a second a turn when unset'),
  MODEL_FIRST_BYTE_SECONDS: whole(1, 3600).default(120).describe('longest silence before an answer begins'),
  MODEL_CHUNK_SECONDS: whole(1, 3600).default(30).describe('longest silence inside an answer'),
  MODEL_TOTAL_SECONDS: whole(1, 86_400).default(300).describe('longest answer'),
  WORKER_CONCURRENCY: whole(1, 1000).default(32).describe('turns at once in this process'),
  WORKER_ROLES: z
    .string()
    .default('projector,relay,sweeper,turns')
    .transform((text) => [...new Set(text.split(',').map((role) => role.trim()))])
    .pipe(z.array(z.enum(['projector', 'relay', 'sweeper', 'turns'])).min(1))
    .describe('what this process does beside the API, separated by commas'),
  MODEL_LIMITS: z
    .string()
    .default('')
    .transform((text, context) => {
      const limits = new Map<string, number>();
      for (const part of text.split(',').map((each) => each.trim()))
        if (/^[a-z]+(\/.+)?=[1-9]\d{0,4}$/.test(part))
          limits.set(part.slice(0, part.lastIndexOf('=')), Number(part.slice(part.lastIndexOf('=') + 1)));
        else if (part !== '')
          context.addIssue({ code: 'custom', message: `"${part}" is not <provider>=<n> or <provider>/<model>=<n>` });
      return limits;
    })
    .describe('turns at once over all processes, such as ollama=4,openai/gpt-5=20; no limit when unset'),
  WORKER_ID: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,100}$/)
    .optional()
    .describe('stable name of this worker; only one process may use it at a time'),
  JWT_SIGNING_KEY_FILE: z.string().min(1).optional().describe('file with the key that signs tokens, at least 32 bytes'),
  JWT_ISSUER: z.string().min(1).default('colloquy').describe('iss that tokens must carry'),
  JWT_AUDIENCE: z.string().min(1).default('colloquy').describe('aud that tokens must carry'),
  TRUSTED_PROXIES: z
    .string()
    .default('')
    .transform(listOf)
    .describe('addresses or subnets of proxies whose X-Forwarded-For is believed, separated by commas'),
  CORS_ORIGINS: z
    .string()
    .default('')
    .transform(listOf)
    .describe('exact origins of other sites whose pages may call the API, separated by commas'),
  RATE_LIMIT_PER_MINUTE: whole(1, 1_000_000).default(1200).describe('requests a minute for each principal'),
  LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
    .default('warn')
    .describe('JSON log lines on stderr from this level on'),
  OTEL_EXPORTER_OTLP_ENDPOINT: z.string().optional().describe('not supported yet'),
});
export type Settings = z.output<typeof settingsSchema>;

/** Where a shown value comes from. */
export interface ShownSetting {
  readonly name: string;
  readonly value: string;
  readonly origin: 'environment' | 'default' | 'unset';
  readonly about: string;
}

const SECRET = /KEY$|DATABASE_URL|_URL$/;

/** The settings of the environment; `overrides` come from the command line. @throws Refusal `invalid` that names every setting that is wrong. */
export function readSettings(
  overrides: Readonly<Record<string, string>> = {},
  environment: NodeJS.ProcessEnv = process.env,
): Settings {
  const given = Object.fromEntries(
    Object.entries({ ...environment, ...overrides }).filter(([, value]) => value !== ''),
  );
  Object.assign(given, fromFiles(given));
  const result = settingsSchema.safeParse(given);
  if (!result.success) {
    const wrong = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new Refusal('invalid', `settings that cannot be used: ${wrong.join('; ')}`);
  }
  if (result.data.WEAVIATE_URL !== undefined)
    throw new Refusal('invalid', 'WEAVIATE_URL is set, but this version cannot use it yet: unset it');
  return { ...result.data, COLLOQUY_DATA: resolve(result.data.COLLOQUY_DATA) };
}

/** `NAME_FILE` holds the path of a file with the value of NAME: how Docker, Kubernetes and Vault hand out secrets. */
function fromFiles(given: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const read: Record<string, string> = {};
  for (const name of Object.keys(settingsSchema.shape)) {
    const path = given[`${name}_FILE`];
    if (path === undefined || `${name}_FILE` in settingsSchema.shape) continue;
    if (given[name] !== undefined)
      throw new Refusal('invalid', `${name} and ${name}_FILE are both set: unset one of them`);
    if (!existsSync(path)) throw new Refusal('invalid', `${name}_FILE names a file that is not there`);
    const value = readFileSync(path, 'utf8').trim();
    if (value !== '') read[name] = value;
  }
  return read;
}

/** Every setting with its value and origin, secrets left out: what `colloquy config print` shows. */
export function showSettings(environment: NodeJS.ProcessEnv = process.env): ShownSetting[] {
  const settings = readSettings({}, environment);
  return Object.entries(settingsSchema.shape).map(([name, schema]) => {
    const value = settings[name as keyof Settings];
    const set = [name, `${name}_FILE`].some((each) => environment[each] !== undefined && environment[each] !== '');
    const origin = set ? 'environment' : value === undefined ? 'unset' : 'default';
    const shown = set && SECRET.test(name) ? withoutPassword(textOfSetting(value)) : textOfSetting(value);
    return { name, value: shown, origin, about: schema.description ?? '' };
  });
}

function textOfSetting(value: Settings[keyof Settings]): string {
  if (typeof value === 'object' && !Array.isArray(value))
    return [...value].map(([name, limit]) => `${name}=${limit}`).join(',');
  return Array.isArray(value) ? value.join(',') : String(value ?? '');
}

function withoutPassword(text: string): string {
  // `user:password@host` alone parses too, with the user as its protocol.
  if (!text.includes('://') || !URL.canParse(text)) return '(set)';
  const parsed = new URL(text);
  if (parsed.searchParams.has('password')) parsed.searchParams.set('password', '***');
  if (parsed.password !== '') parsed.password = '***';
  // A NATS token stands where others have the user.
  else if (parsed.username !== '' && !parsed.protocol.startsWith('postgres')) parsed.username = '***';
  return parsed.toString();
}

/** The version of this program, from its package.json. */
export function programVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
