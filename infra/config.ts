/** The settings as they are, and the only reader of the environment. */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Refusal } from '../domain/refusal.ts';
import { type Settings, settingsSchema } from './configSchema.ts';

export { type Settings, settingsSchema };

/** Where a shown value comes from. */
export interface ShownSetting {
  readonly name: string;
  readonly value: string;
  readonly origin: 'environment' | 'file' | 'default' | 'unset';
  readonly about: string;
}

const SECRET = /KEY$|TOKEN$|DATABASE_URL|_URL$|HEADERS$|ENDPOINT$/;

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
    const [own, file] = [name, `${name}_FILE`].map((each) => (environment[each] ?? '') !== '');
    const set = own === true || file === true;
    const origin = own === true ? 'environment' : file === true ? 'file' : value === undefined ? 'unset' : 'default';
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

/** Hands settings that may have come from files or the command line to OpenTelemetry, which reads the environment by itself. */
export function shareWithOpenTelemetry(settings: Settings): void {
  for (const [name, value] of Object.entries(settings))
    if (name.startsWith('OTEL_') && typeof value === 'string') process.env[name] = value;
}

/** The version of this program, from its package.json. */
export function programVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
