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
  WEAVIATE_URL: url.optional().describe('a Weaviate server for vectors; pgvector in the database when unset'),
  WEAVIATE_API_KEY: z.string().min(1).optional().describe('the key that Weaviate asks for'),
  EMBEDDER: z
    .string()
    .regex(/^(builtin|(ollama|openai):\S.{0,199})$/, 'is builtin, ollama:<model> or openai:<model>')
    .default('builtin')
    .describe('what makes vectors of texts: builtin, ollama:<model> or openai:<model>; another one means a rebuild'),
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
    .default('projector,relay,sweeper,turns,auditor,embedder')
    .transform((text) => [...new Set(text.split(',').map((role) => role.trim()))])
    .pipe(z.array(z.enum(['projector', 'relay', 'sweeper', 'turns', 'auditor', 'embedder'])).min(1))
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
  AUDIT_STORE: z
    .string()
    .min(1)
    .optional()
    .describe(
      'where the evidence of the log is kept, in the form of BACKUP_STORE; audit in the data folder when unset',
    ),
  AUDIT_KEY: z
    .string()
    .min(1)
    .optional()
    .describe(
      'PEM of the Ed25519 key that signs checkpoints, best by AUDIT_KEY_FILE; made in the data folder when unset',
    ),
  BACKUP_STORE: z
    .string()
    .min(1)
    .optional()
    .describe('where backups are kept: a folder, or s3://bucket/prefix?endpoint=https://host&region=name'),
  BACKUP_EVERY: z
    .string()
    .regex(/^[1-9]\d{0,3}[mhd]$/, 'such as 30m, 24h or 7d')
    .optional()
    .describe('a backup is made when the newest is so old, such as 24h; none by itself when unset'),
  BACKUP_KEEP: whole(1, 10_000).optional().describe('the newest so many backups are kept'),
  BACKUP_KEEP_DAYS: whole(1, 36_500).optional().describe('backups younger than so many days are kept'),
  BACKUP_RECIPIENT: z
    .string()
    .default('')
    .transform(listOf)
    .pipe(z.array(z.string().regex(/^age1[a-z0-9]{20,4000}$/, 'a public key of age: age1…')))
    .describe('public keys of age that backups are encrypted for, separated by commas; else that of BACKUP_KEY_FILE'),
  BACKUP_KEY_FILE: z
    .string()
    .min(1)
    .optional()
    .describe('file with the private key of age that opens backups; backup.key in the data folder when unset'),
  S3_ACCESS_KEY_ID: z.string().min(1).optional().describe('access key of places that begin with s3://'),
  S3_SECRET_ACCESS_KEY: z.string().min(1).optional().describe('its secret'),
  COLLOQUY_URL: url.optional().describe('a running service for the commands of `colloquy`, with COLLOQUY_TOKEN'),
  COLLOQUY_TOKEN: z
    .string()
    .min(1)
    .optional()
    .describe('the token that the commands of `colloquy` send to COLLOQUY_URL'),
  METRICS_TOKEN: z
    .string()
    .regex(/^[\x21-\x7e]{32,512}$/, 'is 32 to 512 visible ASCII characters')
    .optional()
    .describe('a secret of at least 32 characters that opens /metrics and nothing else, for Prometheus'),
  OTEL_EXPORTER_OTLP_ENDPOINT: url.optional().describe('a collector of OpenTelemetry; nothing is exported without one'),
  OTEL_EXPORTER_OTLP_HEADERS: z.string().optional().describe('what the collector asks for, such as authorization=…'),
  OTEL_EXPORTER_OTLP_PROTOCOL: z
    .enum(['http/protobuf', 'http/json', 'grpc'])
    .optional()
    .describe('how the collector is spoken to; http/protobuf when unset'),
  OTEL_TRACES_EXPORTER: z.enum(['otlp', 'console', 'none']).optional().describe('where spans go'),
  OTEL_METRICS_EXPORTER: z.enum(['otlp', 'console', 'none']).optional().describe('where metrics go beside /metrics'),
  OTEL_TRACES_SAMPLER: z.string().optional().describe('which traces are kept, such as parentbased_traceidratio'),
  OTEL_TRACES_SAMPLER_ARG: z.string().optional().describe('what the sampler is told, such as 0.1'),
  OTEL_SERVICE_NAME: z.string().optional().describe('the name that spans and metrics carry; colloquy when unset'),
});
export type Settings = z.output<typeof settingsSchema>;
