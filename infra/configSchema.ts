/** The settings: what there is, each with its default and meaning. */
import { z } from 'zod';

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
  COLLOQUY_URL: url.optional().describe('a running service for the commands of `colloquy`, with COLLOQUY_TOKEN'),
  COLLOQUY_TOKEN: z
    .string()
    .min(1)
    .optional()
    .describe('the token that the commands of `colloquy` send to COLLOQUY_URL'),
  OTEL_EXPORTER_OTLP_ENDPOINT: z.string().optional().describe('not supported yet'),
});
export type Settings = z.output<typeof settingsSchema>;
