/** What the doctor sees through the API: log, read models, turns, bus, models, evidence, backups. */
import { nobodyAnswers } from './cli/exitCodes.ts';
import type { Reached } from './cli/reach.ts';
import { messageOf, type Check } from './doctor.ts';
import { RemoteProblem, type Remote } from './remote.ts';

export interface Status {
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly log: { readonly head: string; readonly lineage: string };
  readonly projections: readonly { readonly name: string; readonly seconds: number; readonly events: number | null }[];
  readonly turns: { readonly open: number; readonly stuck: number; readonly running: number };
  readonly deadLetters: number;
  readonly clients: number;
  readonly operations: readonly { readonly id: string; readonly kind: string; readonly startedAt: string }[];
}

export interface Health {
  readonly ready: boolean;
  readonly checks: Readonly<Record<string, { readonly ok: boolean; readonly detail?: string | undefined }>>;
}

const HEALTH_MS = 5_000;
const LATE_SECONDS = 60;
const OLD_BACKUP_MS = 2 * 24 * 3_600_000;
const OLD_CHECKPOINT_MS = 10 * 60_000;

/** The checks of a service that was reached. */
export async function checkService({ remote, url, running }: Reached): Promise<Check[]> {
  const service: Check = running
    ? { name: 'service', status: 'ok', detail: `answers at ${url}`, next: null }
    : {
        name: 'service',
        status: 'warn',
        detail: 'none runs: the data was opened for this look',
        next: 'colloquy start',
      };
  if (running && !(await answersAt(url))) {
    const next = 'start it, or correct COLLOQUY_URL';
    return [{ name: 'service', status: 'fail', detail: `nothing answers at ${url}`, next }];
  }
  const look = (name: string, next: string, ask: () => Promise<Check | Check[]>) => asked(name, next, ask);
  return [
    service,
    ...(await look('health', 'colloquy status', async () => healthChecks(await healthAt(url)))),
    ...(await look('log', 'colloquy status', async () => statusChecks(await remote.call<Status>('GET', '/status')))),
    ...(await look('versions', 'colloquy projections list', () => versions(remote))),
    ...(await look('models', 'colloquy config print', () => models(remote))),
    ...(await look('audit', 'colloquy events verify', () => audit(remote))),
    ...(await look('backup', 'colloquy backup list', () => backups(remote))),
  ];
}

async function asked(name: string, next: string, ask: () => Promise<Check | Check[]>): Promise<Check[]> {
  try {
    return [await ask()].flat();
  } catch (error) {
    // What is not set up in this installation, or not part of this version.
    if (error instanceof RemoteProblem && !error.retryable && [404, 409, 503].includes(error.status))
      return [{ name, status: name === 'backup' ? 'warn' : 'unknown', detail: error.detail, next: null }];
    const detail = error instanceof RemoteProblem ? error.detail : messageOf(error);
    return [{ name, status: 'fail', detail, next }];
  }
}

async function answersAt(url: string): Promise<boolean> {
  return healthAt(url).then(
    () => true,
    (error: unknown) => !nobodyAnswers(error),
  );
}

/** What a service says of its health; it needs no token. */
export async function healthAt(url: string): Promise<Health> {
  const answer = await fetch(`${url.replace(/\/+$/, '')}/health/ready`, { signal: AbortSignal.timeout(HEALTH_MS) });
  const body = (await answer.json()) as Partial<Health> & {
    readonly errors?: readonly { readonly pointer: string; readonly detail: string }[];
  };
  const failed = (body.errors ?? []).map(({ pointer, detail }) => [pointer, { ok: false, detail }] as const);
  return { ready: answer.ok, checks: body.checks ?? Object.fromEntries(failed) };
}

function healthChecks({ ready, checks }: Health): Check[] {
  const wrong = Object.entries(checks).filter(([, { ok }]) => !ok);
  if (wrong.length === 0) return [{ name: 'health', status: ready ? 'ok' : 'fail', detail: 'ready', next: null }];
  return wrong.map(([name, { detail = 'is not ready' }]) => ({
    name: `health: ${name}`,
    status: ready ? 'warn' : 'fail',
    detail,
    next:
      name === 'bus' ? 'start NATS, or correct NATS_URL: until then turns start later' : 'wait, then look at its log',
  }));
}

function statusChecks({ log, projections, deadLetters, turns }: Status): Check[] {
  const late = projections.filter(({ seconds }) => seconds > LATE_SECONDS);
  // A model in the processor takes hours for a large log that is new to it, in which all but search by meaning works.
  const status = late.every(({ name }) => name === 'embeddings') ? 'warn' : 'fail';
  const behind = late.map(({ name, seconds }) => `${name} ${Math.round(seconds)} s`).join(', ');
  return [
    { name: 'log', status: 'ok', detail: `head ${log.head}, lineage ${log.lineage}`, next: null },
    late.length === 0
      ? { name: 'read models', status: 'ok', detail: 'up to date', next: null }
      : { name: 'read models', status, detail: `behind: ${behind}`, next: 'colloquy projections list' },
    deadLetters === 0
      ? { name: 'dead letters', status: 'ok', detail: 'none', next: null }
      : { name: 'dead letters', status: 'fail', detail: `${deadLetters} wait`, next: 'colloquy dead-letters list' },
    turns.stuck === 0
      ? { name: 'turns', status: 'ok', detail: `${turns.open} open, none stuck`, next: null }
      : { name: 'turns', status: 'fail', detail: `${turns.stuck} stuck`, next: 'colloquy turns list --stuck' },
  ];
}

async function versions(remote: Remote): Promise<Check> {
  const { data } = await remote.call<{
    data: { name: string; paused: boolean; stale: string | null; failed: object | null }[];
  }>('GET', '/projections');
  const paused = data.filter((each) => each.paused).map(({ name }) => `${name} is paused`);
  const stale = data.filter((each) => each.stale !== null);
  const failed = data.filter((each) => each.failed !== null).map(({ name }) => `a rebuild of ${name} failed`);
  const all = [...paused, ...stale.map(({ name }) => `${name} is stale`), ...failed];
  const next = stale.length > 0 ? 'colloquy projections rebuild --all-stale' : 'colloquy projections list';
  if (all.length === 0) return { name: 'versions', status: 'ok', detail: 'none paused or stale', next: null };
  return { name: 'versions', status: 'warn', detail: all.join(', '), next };
}

async function models(remote: Remote): Promise<Check> {
  const { data } = await remote.call<{ data: { provider: string; name: string }[] }>('GET', '/models');
  const names = data.map(({ provider, name }) => (provider === name ? name : `${provider}/${name}`));
  const detail = `${names.slice(0, 8).join(', ')}${names.length > 8 ? ` and ${names.length - 8} more` : ''}`;
  return { name: 'models', status: 'ok', detail, next: null };
}

async function audit(remote: Remote): Promise<Check> {
  const { data } = await remote.call<{ data: Record<string, unknown>[] }>('GET', '/audit/checkpoints?limit=1');
  const at = timeIn(data.at(-1));
  if (at === null) return { name: 'audit', status: 'unknown', detail: 'no checkpoint yet', next: null };
  const ageMs = Date.now() - at;
  const detail = `last checkpoint ${Math.round(ageMs / 1000)} s ago`;
  const { log } = await remote.call<Status>('GET', '/status');
  // A log to which nothing was added has nothing to be signed.
  const good = ageMs < OLD_CHECKPOINT_MS || data.at(-1)?.['position'] === log.head;
  return { name: 'audit', status: good ? 'ok' : 'warn', detail, next: good ? null : 'see that an auditor runs' };
}

async function backups(remote: Remote): Promise<Check> {
  const { data } = await remote.call<{ data: Record<string, unknown>[] }>('GET', '/backups');
  const times = data.map(timeIn).filter((at) => at !== null);
  if (times.length === 0)
    return { name: 'backup', status: 'warn', detail: 'there is none', next: 'colloquy backup create' };
  const ageMs = Date.now() - Math.max(...times);
  const good = ageMs < OLD_BACKUP_MS;
  const detail = `the last one is ${Math.round(ageMs / 3_600_000)} h old`;
  return { name: 'backup', status: good ? 'ok' : 'warn', detail, next: good ? null : 'colloquy backup create' };
}

/** When something was made, by whichever field says so. */
function timeIn(of: Record<string, unknown> | undefined): number | null {
  for (const name of ['time', 'at', 'createdAt', 'madeAt', 'startedAt']) {
    const value = of?.[name];
    if (typeof value === 'string' && !Number.isNaN(Date.parse(value))) return Date.parse(value);
  }
  return null;
}
