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
import { rebuild, rollBack, type Rebuilt, type RebuildProgress } from '../projections/rebuild.ts';
import { Poison } from '../projections/rebuildRows.ts';
import { GENTLE_EVENTS, storeSource, typesOf, type EventSource } from '../projections/rebuildSource.ts';
import { tablesTarget } from '../projections/rebuildTables.ts';
import type { Verified } from '../projections/rebuildTarget.ts';
import { foldRequest, foldSums, type FoldAhead, type FoldRequest, type OnPage } from '../projections/rebuildVerify.ts';
import type { Claim } from '../projections/rebuildVersion.ts';
import { VECTOR_BATCH } from '../projections/vectorWriter.ts';
import type { Meaning } from './meaning.ts';
import { openVectors, withVectors } from './rebuildVectors.ts';

/** Can be sent to a thread. */
export type RebuildTask =
  | { readonly kind: 'diff'; readonly name: string; readonly fast: boolean; readonly repair: boolean }
  | FoldTask
  | {
      readonly kind: Claim['kind'];
      readonly name: string;
      readonly fast: boolean;
      readonly version: number;
      readonly builder: string;
    };

/** What the log says that the tables must hold. */
export interface FoldTask {
  readonly kind: 'fold';
  readonly name: string;
  readonly fast: true;
  readonly request: FoldRequest;
}

export interface TaskContext {
  readonly database: Database;
  readonly store: EventStore;
  /** Whether the log is in the same database; its positions then have no gaps. */
  readonly ownLog: boolean;
  /** Carries a fold out in a thread of its own, where that is worth it; only for logs whose positions have no gaps. */
  readonly foldAside?: (task: FoldTask, signal: AbortSignal) => Promise<unknown>;
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
    : storeSource(store, codec, pageEvents);
  try {
    if (task.kind === 'diff') return await diff(projection, source, task, context);
    if (task.kind === 'fold') return await foldSums(projection, source, task.request, onPageOf(context));
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
  const over = new AbortController();
  const vectors = claim.projection === embeddings ? await openVectors(claim, source, context) : null;
  const ahead = fast && vectors === null ? await foldAhead(claim, context, over.signal) : undefined;
  const verifyAt = ahead && BigInt(ahead.request.to);
  const target = vectors?.target ?? tablesTarget({ knex, store, clock: systemClock, source, claim, copy, ahead });
  const types = typesOf(claim.projection);
  const options = {
    ...{ target, store, source, clock: systemClock, signal, types, gapless: ownLog, fast, verifyAt },
    ...(vectors === null ? { report } : { report: vectors.report, batch: VECTOR_BATCH }),
  };
  try {
    return shown(await (claim.kind === 'rebuild' ? rebuild : rollBack)(options));
  } finally {
    over.abort();
    await Promise.allSettled([target.flush(), ahead?.sums]);
  }
}

/** Begins the fold for the verification, where it can be made beside the building. */
async function foldAhead(claim: Claim, context: TaskContext, over: AbortSignal): Promise<FoldAhead | undefined> {
  const { database, store, foldAside, signal } = context;
  if (foldAside === undefined || claim.kind !== 'rebuild') return undefined;
  const to = await store.head();
  const request = await foldRequest(database.knex, claim, to, Number(to));
  const task: FoldTask = { kind: 'fold', name: claim.projection.name, fast: true, request };
  const sums = foldAside(task, AbortSignal.any([signal, over])) as Promise<Verified[]>;
  // Whoever verifies looks at it; until then a failure is nobody's.
  sums.catch(() => undefined);
  return { request, sums };
}

function onPageOf({ signal }: TaskContext): OnPage {
  return () => {
    signal.throwIfAborted();
    return Promise.resolve();
  };
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
      report({ done: folded, total: context.ownLog ? Math.max(head, folded) : folded, note: 'comparing' });
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
