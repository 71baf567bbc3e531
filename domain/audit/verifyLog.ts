/** The whole log against its evidence: every event, every checkpoint, every signature. */
import type { EventStore } from '../ports.ts';
import type { StoredRecord } from '../codec.ts';
import type { Evidence } from './evidence.ts';
import { explain, type Finding, LOOK_AROUND, unplaced } from './findings.ts';
import { ENTRY_BYTES, entryAt } from './leaf.ts';
import { type LogWalk, type Place, walkLog, type WalkOptions, walkTo } from './logWalk.ts';
import type { Frontier } from './merkle.ts';
import { type Checkpoint, originOf } from './note.ts';
import { type KnownCheckpoint, readCheckpoints } from './readCheckpoints.ts';

/** What came out of a verification. */
export interface Verdict {
  readonly verdict: 'ok' | 'violation';
  readonly lineage: string;
  /** The newest checkpoint up to which the log is proven; null when nothing is. */
  readonly coveredTo: { readonly size: number; readonly position: string; readonly at: string } | null;
  /** Younger events, of which no checkpoint knows yet; null when the log was not read to its end. */
  readonly notCovered: number | null;
  /** Checkpoints whose signature and root are right. */
  readonly checkpoints: number;
  /** The first bad event of the log. */
  readonly firstBad: Finding | null;
  /** All that was found, at most 50. */
  readonly findings: readonly Finding[];
}

export interface VerifyOptions extends WalkOptions {
  readonly store: Pick<EventStore, 'readStored' | 'lineage'>;
  readonly evidence: Evidence;
  /** Public keys that are trusted, 32 bytes each. */
  readonly keys: readonly Uint8Array[];
  /** Notes of checkpoints that somebody else has kept. */
  readonly outside?: readonly string[];
  readonly report?: (done: number, total: number) => void;
}

interface Found {
  /** The first bad event. */
  readonly log: Finding | null;
  readonly evidence: Finding | null;
}

const MOST_FINDINGS = 50;

/**
 * Reads the log once, from its first event to its last. What signed checkpoints say is what counts; leaves only tell
 * where the log differs.
 * @throws Refusal when log or evidence cannot be read; the signal's reason when it is aborted.
 */
export async function verifyLog(options: VerifyOptions): Promise<Verdict> {
  const lineage = await options.store.lineage();
  const { checkpoints, findings } = await readCheckpoints({ ...options, origin: originOf(lineage) });
  const total = checkpoints.at(-1)?.size ?? 0;
  const walk = walkLog(options);
  let covered: Checkpoint | null = null;
  let right = 0;
  let firstBad: Finding | null = null;
  try {
    for (const checkpoint of checkpoints) {
      const found = await checkSpan(walk, checkpoint, total, options);
      if (found.evidence !== null) findings.push(found.evidence);
      firstBad = found.log;
      if (firstBad !== null) break;
      covered = checkpoint;
      right += 1;
      options.report?.(checkpoint.size, total);
    }
    const notCovered = firstBad === null ? await countRest(walk) : null;
    const all = firstBad === null ? findings : [firstBad, ...findings];
    return {
      verdict: all.length === 0 ? 'ok' : 'violation',
      lineage,
      coveredTo:
        covered === null ? null : { size: covered.size, position: covered.position.toString(), at: covered.at },
      notCovered,
      checkpoints: right,
      firstBad,
      findings: all.slice(0, MOST_FINDINGS),
    };
  } finally {
    await walk.close();
  }
}

/** From where the walk is to the next checkpoint: whether the log leads to its root, and whether the leaves do. */
async function checkSpan(
  walk: LogWalk,
  checkpoint: KnownCheckpoint,
  total: number,
  { evidence, store }: VerifyOptions,
): Promise<Found> {
  const begin = walk.place();
  const recorded = await evidence.entries(begin.index, checkpoint.size);
  const leavesRight = recorded !== null && leadsTo(walk.tree.copy(), recorded, checkpoint);
  const differs = await walkTo(walk, checkpoint.size, recorded);
  const { index, position, leaf } = walk.place();
  const logRight =
    index === checkpoint.size &&
    walk.tree.root().equals(checkpoint.root) &&
    leaf === checkpoint.leaf &&
    position === checkpoint.position;
  if (logRight) return { log: null, evidence: differs === null ? null : leavesBad(begin, checkpoint, recorded) };
  const from = !leavesRight || differs === null ? begin : differs;
  const actual = await collect(store.readStored(from.position, { limit: LOOK_AROUND }));
  if (checkpoint.outside && differs === null) return { log: forked(begin, checkpoint, actual[0]), evidence: null };
  if (!leavesRight)
    return { log: somewhere(begin, checkpoint, actual[0]), evidence: leavesBad(begin, checkpoint, recorded) };
  // Beyond the checkpoint, too: what became of its last event shows in those behind it.
  const expected = await evidence.entries(from.index, Math.min(total, from.index + LOOK_AROUND));
  if (expected === null) return { log: somewhere(begin, checkpoint, actual[0]), evidence: null };
  return { log: explain({ index: from.index, previous: from.leaf, expected, actual }), evidence: null };
}

function leadsTo(tree: Frontier, recorded: Uint8Array, { root }: Checkpoint): boolean {
  for (let i = 0; i < recorded.length / ENTRY_BYTES; i += 1) tree.append(Buffer.from(entryAt(recorded, i).leaf, 'hex'));
  return tree.root().equals(root);
}

function leavesBad({ index }: Place, { size }: Checkpoint, recorded: Uint8Array | null): Finding {
  const what = recorded === null ? 'are missing' : 'were changed';
  return unplaced('evidence', 'leaves', `leaves ${index} to ${size - 1} of the evidence ${what}`);
}

/** Log and leaves both lead elsewhere than the signed root: the first bad event is one of the span's. */
function somewhere(begin: Place, { size }: Checkpoint, first: StoredRecord | undefined): Finding {
  const says = `events ${begin.index} to ${size - 1} are not those that were signed; this is the first of them`;
  const { stream = null, revision = null, id: eventId = null, position = null } = first ?? {};
  const place = { index: begin.index, position: position?.toString() ?? null, stream, revision, eventId };
  return { ...unplaced('log', 'rewritten', says), ...place };
}

/** Log and evidence agree, but somebody was shown another history. */
function forked(begin: Place, checkpoint: Checkpoint, first: StoredRecord | undefined): Finding {
  const says = `a signed checkpoint of ${checkpoint.size} events that was given is of another history than the log's; they part after event ${begin.index - 1}`;
  return { ...somewhere(begin, checkpoint, first), kind: 'fork', says };
}

async function countRest(walk: LogWalk): Promise<number> {
  let count = 0;
  while ((await walk.next()) !== null) count += 1;
  return count;
}

async function collect(records: AsyncIterable<StoredRecord>): Promise<StoredRecord[]> {
  const all = [];
  for await (const record of records) all.push(record);
  return all;
}
