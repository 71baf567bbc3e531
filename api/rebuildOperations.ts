/** Rebuilds as operations: claimed before the request is answered, so that two of one read model never run. */
import type { Operation } from '../domain/operation.ts';
import type { Clock, Ids } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Projection } from '../projections/projection.ts';
import type { Claim } from '../projections/rebuild/version.ts';
import type { Operations, Report, Work } from './operations.ts';
import type { ViewOptions } from './projectionViews.ts';

/** Carries one task out, in a thread where it is long. */
export type RunTask = (
  task: {
    kind: 'diff' | 'rebuild' | 'rollback';
    name: string;
    fast: boolean;
    /** What a comparison finds is mended. */
    repair?: boolean;
    claim: Claim | null;
    thread: boolean;
  },
  signal: AbortSignal,
  report: (progress: { done: number; total: number; note: string }) => void,
) => Promise<unknown>;

export interface RebuildOptions extends ViewOptions {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly operations: Operations;
  readonly run: RunTask;
  readonly onFault: (error: unknown) => void;
}

export interface RebuildRequest {
  readonly names: readonly string[];
  readonly fast: boolean;
  /** How many at the same time. */
  readonly maxConcurrent: number;
}

/** A claim is held by being renewed well within the 10 s after which others may take over. */
const RENEW_MS = 2_000;
/** Above so many events a thread is worth its start. */
const THREAD_EVENTS = 2_000;

/** @throws Refusal `conflict` when one of them is being rebuilt already. */
export async function startRebuild(
  options: RebuildOptions,
  wanted: readonly Projection[],
  { fast, maxConcurrent }: RebuildRequest,
): Promise<Operation> {
  const { queries, ids } = options;
  const claims: Claim[] = [];
  try {
    for (const projection of wanted) claims.push(await queries.claimBuild(projection, { builder: ids.next(), fast }));
    const results: Record<string, unknown> = {};
    const work = withClaims(options, claims, async (signal, report) => {
      const waiting = [...claims];
      const progress = sumOf(claims, report);
      const next = async (): Promise<void> => {
        for (let claim = waiting.shift(); claim !== undefined; claim = waiting.shift())
          results[claim.projection.name] = await carryOut(options, claim, fast, signal, progress);
      };
      const all = await Promise.allSettled(Array.from({ length: maxConcurrent }, next));
      const failed = all.find((each) => each.status === 'rejected');
      if (failed) throw failed.reason;
      return { projections: results };
    });
    return await noted(options, claims, await options.operations.start('projection-rebuild', work));
  } catch (error) {
    for (const claim of claims) await queries.releaseClaim(claim, false).catch(options.onFault);
    throw error;
  }
}

/** @throws Refusal `conflict` when there is no version to go back to. */
export async function startRollback(options: RebuildOptions, projection: Projection): Promise<Operation> {
  const { queries, ids, operations } = options;
  const claim = await queries.claimPrevious(projection, { builder: ids.next(), fast: true });
  try {
    const work = withClaims(options, [claim], (signal, report) =>
      carryOut(options, claim, true, signal, sumOf([claim], report)),
    );
    return await noted(options, [claim], await operations.start('projection-rollback', work));
  } catch (error) {
    await queries.releaseClaim(claim, false).catch(options.onFault);
    throw error;
  }
}

/** Who looks at the read model finds the operation. */
async function noted({ queries, onFault }: RebuildOptions, claims: readonly Claim[], operation: Operation) {
  for (const claim of claims) await queries.noteOperation(claim, operation.id).catch(onFault);
  return operation;
}

type Progress = (name: string, progress: { done: number; total: number; note: string }) => void;

/** Adds up what several rebuilds tell. */
function sumOf(claims: readonly Claim[], report: Report): Progress {
  const told = new Map<string, { done: number; total: number; note: string }>();
  return (name, progress) => {
    told.set(name, progress);
    const all = [...told.values()];
    const sum = (of: 'done' | 'total') => all.reduce((total, each) => total + each[of], 0);
    const notes = [...told].map(([each, { note }]) => (claims.length === 1 ? note : `${each}: ${note}`));
    report(sum('done'), sum('total'), notes.join('; '));
  };
}

/** Progress as an operation reports it. */
export function told(report: Report): (progress: { done: number; total: number; note: string }) => void {
  return ({ done, total, note }) => report(done, total, note);
}

/** Keeps the claims while the work lasts, and gives back those that it has left. */
function withClaims(
  { queries, clock, onFault }: RebuildOptions,
  claims: readonly Claim[],
  work: (signal: AbortSignal, report: Report) => Promise<unknown>,
): Work {
  return async (report, signal) => {
    const over = new AbortController();
    const renewing = (async () => {
      while (!over.signal.aborted) {
        for (const claim of claims) await queries.renewClaim(claim).catch(() => undefined);
        await clock.sleep(RENEW_MS, over.signal);
      }
    })();
    try {
      return await work(signal, report);
    } finally {
      over.abort();
      await renewing;
      // Those that ended are nobody's any more. One that was stopped with its process goes on at the next start.
      const goesOn = signal.aborted && signal.reason === 'stopping';
      for (const claim of claims) await queries.releaseClaim(claim, goesOn).catch(onFault);
    }
  };
}

async function carryOut(
  { queries, run, store }: RebuildOptions,
  claim: Claim,
  fast: boolean,
  signal: AbortSignal,
  progress: Progress,
): Promise<unknown> {
  const { name } = claim.projection;
  signal.throwIfAborted();
  const state = (await queries.list()).find((each) => each.name === name && each.version === claim.version);
  const far = (await store.head()) - BigInt(state?.position ?? 0) > BigInt(THREAD_EVENTS);
  const thread = claim.kind === 'rebuild' || far;
  try {
    return await run({ kind: claim.kind, name, fast, claim, thread }, signal, (each) => progress(name, each));
  } catch (error) {
    // A poison event and a failed verification are final; what may pass leaves the version to be gone on with.
    const final = error instanceof Refusal && !error.retryable && !signal.aborted;
    if (final) await queries.failClaim(claim, error.message);
    throw error;
  }
}
