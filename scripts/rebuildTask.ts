/** What is done for a read model away from the requests: a rebuild, going back, a comparison. */
import { createCodec } from '../domain/codec.ts';
import type { EventStore } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Database } from '../infra/database.ts';
import { copyRows } from '../infra/postgresCopy.ts';
import { createPostgresLogSource } from '../infra/postgresLogSource.ts';
import { identitySeal, systemClock } from '../infra/system.ts';
import { allProjections } from '../projections/allProjections.ts';
import { diffProjection } from '../projections/diff.ts';
import { embeddings } from '../projections/embeddings.ts';
import type { Projection } from '../projections/projection.ts';
import { rebuild, rollBack, type Rebuilt, type RebuildProgress } from '../projections/rebuild/rebuild.ts';
import { Poison } from '../projections/rebuild/rows.ts';
import { GENTLE_EVENTS, storeSource, typesOf, type EventSource } from '../projections/rebuild/source.ts';
import { tablesTarget } from '../projections/rebuild/tables.ts';
import type { Claim } from '../projections/rebuild/version.ts';
import { VECTOR_BATCH } from '../projections/vectors/writer.ts';
import type { Meaning } from './meaning.ts';
import { openVectors, withVectors } from './rebuildVectors.ts';

/** What takes their time is the model, which waits for others anyway or is elsewhere. */
const REST_OF_VECTORS = 1;
/** Where positions count bytes. */
const BYTES_AN_EVENT = 1_000;

/** Can be sent to a thread. */
export type RebuildTask =
  | { readonly kind: 'diff'; readonly name: string; readonly fast: boolean; readonly repair: boolean }
  | {
      readonly kind: Claim['kind'];
      readonly name: string;
      readonly fast: boolean;
      readonly version: number;
      readonly builder: string;
    };

export interface TaskContext {
  readonly database: Database;
  readonly store: EventStore;
  /** Whether the log is in the same database; its positions then have no gaps. */
  readonly ownLog: boolean;
  /** Models and stores of vectors. */
  readonly meaning: Meaning;
  readonly signal: AbortSignal;
  readonly report: (progress: RebuildProgress) => void;
}

/** @returns what the operation answers. @throws Refusal that says why it failed, or whatever the signal aborted with. */
export async function carryOutTask(task: RebuildTask, context: TaskContext): Promise<unknown> {
  const projection = allProjections.find(({ name }) => name === task.name);
  if (projection === undefined) throw new Refusal('not-found', `there is no projection ${task.name}`);
  const { database, store, ownLog } = context;
  const pageEvents = task.fast ? undefined : GENTLE_EVENTS;
  const codec = createCodec(identitySeal);
  const source: EventSource = ownLog
    ? createPostgresLogSource(database.knex, codec, pageEvents)
    : storeSource(store, pageEvents);
  try {
    if (task.kind === 'diff') return await diff(projection, source, task, context);
    const claim: Claim = { projection, version: task.version, builder: task.builder, kind: task.kind };
    return await build(claim, source, task.fast, context);
  } catch (error) {
    context.signal.throwIfAborted();
    throw asRefusal(error, task.name);
  }
}

async function build(claim: Claim, source: EventSource, fast: boolean, context: TaskContext): Promise<unknown> {
  const { database, store, ownLog, signal, report } = context;
  const { knex } = database;
  const copy = database.embedded ? null : copyRows;
  const vectors = claim.projection === embeddings ? await openVectors(claim, source, context) : null;
  const tallied = fast && vectors === null ? await eventsAbout(context) : undefined;
  const target = vectors?.target ?? tablesTarget({ knex, store, clock: systemClock, source, claim, copy, tallied });
  const types = typesOf(claim.projection);
  const options = {
    ...{ target, store, source, clock: systemClock, signal, types, gapless: ownLog, fast },
    ...(vectors === null ? { report } : { report: vectors.report, batch: VECTOR_BATCH, rest: REST_OF_VECTORS }),
  };
  try {
    return shown(await (claim.kind === 'rebuild' ? rebuild : rollBack)(options));
  } finally {
    await target.flush().catch(() => undefined);
  }
}

async function eventsAbout({ store, ownLog }: TaskContext): Promise<number> {
  const head = Number(await store.head());
  return ownLog ? head : head / BYTES_AN_EVENT;
}

function shown({ version, previous, position, events, verified }: Rebuilt) {
  return { version, previous, position: position.toString(), events, verified: [...verified] };
}

async function diff(
  projection: Projection,
  source: EventSource,
  { fast, repair }: Extract<RebuildTask, { kind: 'diff' }>,
  context: TaskContext,
) {
  const { database, store, signal, report } = context;
  const head = Number(await store.head());
  let [folded, startedMs] = [0, systemClock.monotonic()];
  const found = await diffProjection({
    knex: database.knex,
    projection,
    source,
    async onPage(events) {
      signal.throwIfAborted();
      folded += events;
      report({
        done: folded,
        total: context.ownLog ? Math.max(head, folded) : folded,
        note: events === 0 ? 'comparing rows' : 'folding the log',
      });
      if (!fast) await systemClock.sleep(systemClock.monotonic() - startedMs, signal);
      startedMs = systemClock.monotonic();
    },
  });
  return projection === embeddings ? withVectors(found, repair, context) : found;
}

/** In words for whoever asked for it. */
function asRefusal(error: unknown, name: string): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof Poison) {
    const { type, id, stream, position } = error.event;
    const where = `event ${id} (${type} of ${stream} at position ${position})`;
    return new Refusal('conflict', `${name} cannot apply ${where}: ${error.message}`, { cause: error });
  }
  return new Refusal('internal', `${name}: ${error instanceof Error ? error.message : String(error)}`, {
    cause: error,
  });
}
