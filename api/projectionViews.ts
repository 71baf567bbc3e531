/** Read models as operators see them. */
import type { EventStore } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Lag } from '../projections/lag.ts';
import type { Projection } from '../projections/projection.ts';
import type { projectionQueries, ProjectionState } from '../projections/projectionQueries.ts';

export interface ViewOptions {
  readonly queries: ReturnType<typeof projectionQueries>;
  readonly store: EventStore;
  readonly projections: readonly Projection[];
  readonly lag: () => Promise<readonly Lag[]>;
  /** Whether positions of the log have no gaps. */
  readonly gapless: boolean;
  /** Why the live version is not what the settings ask for; null when it is. */
  readonly differs: (projection: Projection) => Promise<string | null>;
}

/** A read model as operators see it. */
export interface ProjectionView {
  readonly name: string;
  readonly schemaVersion: number;
  /** The live one; null when there is none of this schema version. */
  readonly version: number | null;
  readonly status: 'live' | 'paused' | 'missing';
  readonly position: string;
  /** Events between it and the head of the log; null where positions have gaps. */
  readonly behind: number | null;
  readonly lagSeconds: number;
  readonly paused: boolean;
  /** Why it should be rebuilt; null when it need not. */
  readonly stale: string | null;
  readonly building: {
    version: number;
    position: string;
    behind: number | null;
    operationId: string | null;
    running: boolean;
  } | null;
  readonly previous: { version: number; position: string } | null;
  readonly failed: { version: number; error: string } | null;
  /** Versions that older programs left behind. */
  readonly oldVersions: { version: number; schemaVersion: number; status: string; position: string }[];
}

/** What a rebuild would do. */
export interface RebuildPlan {
  readonly name: string;
  readonly stale: string | null;
  /** Events to read, of all types; null where positions have gaps. */
  readonly events: number | null;
  /** Goes on with a version that was begun. */
  readonly resumes: boolean;
  readonly estimatedSeconds: number | null;
}

/** Events a second to expect, about: verification included. On a busy machine the gentle one gives way, down to a half. */
const EXPECTED_RATE = { fast: 40_000, gentle: 1_000 };

/** All of them, whether they have a live version or not. */
export async function viewsOf(options: ViewOptions): Promise<ProjectionView[]> {
  const { queries, store, projections, lag, gapless, differs } = options;
  const [states, head, lags] = [await queries.list(), await store.head(), await lag()];
  const behind = (position: string) => {
    if (!gapless) return null;
    return head > BigInt(position) ? Number(head - BigInt(position)) : 0;
  };
  const views = projections.map(async (projection): Promise<ProjectionView> => {
    const { name, schemaVersion } = projection;
    const own = states.filter((each) => each.name === name && each.schemaVersion === schemaVersion);
    const live = own.find(({ status }) => status === 'live');
    const building = own.find(({ status }) => status === 'building');
    const previous = own.findLast(({ status }) => status === 'previous');
    const failed = own.findLast(({ status }) => status === 'failed');
    const old = states.filter((each) => each.name === name && each.schemaVersion !== schemaVersion);
    return {
      name,
      schemaVersion,
      version: live?.version ?? null,
      status: live === undefined ? 'missing' : live.paused ? 'paused' : 'live',
      position: live?.position ?? '0',
      behind: behind(live?.position ?? '0'),
      lagSeconds: lags.find((each) => each.name === name)?.seconds ?? 0,
      paused: live?.paused ?? false,
      stale: (await staleness(store, live, failed, head)) ?? (live ? await differs(projection) : null),
      building: building
        ? {
            version: building.version,
            position: building.position,
            behind: behind(building.position),
            operationId: building.operationId,
            running: building.busy,
          }
        : null,
      previous: previous ? { version: previous.version, position: previous.position } : null,
      failed: failed ? { version: failed.version, error: failed.error ?? 'no reason was kept' } : null,
      oldVersions: old.map(({ version, schemaVersion: schema, status, position }) => ({
        ...{ version, schemaVersion: schema, status, position },
      })),
    };
  });
  return Promise.all(views);
}

async function staleness(
  store: EventStore,
  live: ProjectionState | undefined,
  failed: ProjectionState | undefined,
  head: bigint,
): Promise<string | null> {
  if (live === undefined) return 'this program has no live version of it';
  if (BigInt(live.position) > head) return 'it shows more than the log holds: the log was restored to an older state';
  if (live.event !== null) {
    const { id, stream, revision } = live.event;
    let found = false;
    for await (const event of store.read(stream, { from: revision, limit: 1 })) found = event.id === id;
    if (!found) return 'it was built from another log: the event at its checkpoint is missing';
  }
  return failed && failed.version > live.version ? 'its last rebuild failed' : null;
}

/** @throws Refusal `not-found` for none. */
export function planOf(view: ProjectionView | undefined, fast: boolean): RebuildPlan {
  if (view === undefined) throw new Refusal('not-found', 'there is no such projection');
  const { name, stale, building, behind, position } = view;
  const head = behind === null ? null : Number(position) + behind;
  const events = building?.behind ?? head;
  const rate = fast ? EXPECTED_RATE.fast : EXPECTED_RATE.gentle;
  return {
    ...{ name, stale, events, resumes: building !== null },
    estimatedSeconds: events === null ? null : Math.ceil(events / rate),
  };
}
