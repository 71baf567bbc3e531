import { Refusal } from '../refusal.ts';
import type { Evidence } from './evidence.ts';
import { type Finding, unplaced } from './findings.ts';
import { type Checkpoint, readNote, signedBy } from './note.ts';

/** `outside`: not from the evidence, but kept by somebody else. */
export type KnownCheckpoint = Checkpoint & { readonly outside: boolean };

/** Checkpoints that count, by size, and what is wrong with the others. */
export interface Checkpoints {
  readonly checkpoints: readonly KnownCheckpoint[];
  readonly findings: Finding[];
}

export interface ReadCheckpointsOptions {
  readonly evidence: Pick<Evidence, 'sizes' | 'note'>;
  /** Public keys that are trusted, 32 bytes each. */
  readonly keys: readonly Uint8Array[];
  readonly origin: string;
  /** Notes that somebody else has kept. */
  readonly outside?: readonly string[];
}

/** Reads all checkpoints of the evidence and checks their signatures. Two of one size that contradict each other are a fork. */
export async function readCheckpoints(options: ReadCheckpointsOptions): Promise<Checkpoints> {
  const { evidence, outside = [] } = options;
  const findings: Finding[] = [];
  const bySize = new Map<number, KnownCheckpoint>();
  const add = (note: string, name: string, size: number | null): void => {
    const read = checked(note, options, size);
    if (typeof read === 'string') return void findings.push(unplaced('evidence', 'checkpoint', `${name}: ${read}`));
    if (read.origin !== options.origin)
      return void findings.push(unplaced('evidence', 'lineage', `${name} is of another log, ${read.origin}`));
    const other = bySize.get(read.size);
    if (other !== undefined && !other.root.equals(read.root))
      findings.push(
        unplaced('evidence', 'fork', `two signed checkpoints of ${read.size} events contradict each other`),
      );
    bySize.set(read.size, other ?? { ...read, outside: size === null });
  };
  for (const size of await evidence.sizes()) add(await evidence.note(size), `the checkpoint of ${size} events`, size);
  for (const [i, note] of outside.entries()) add(note, `checkpoint ${i + 1} of those given`, null);
  return { checkpoints: [...bySize.values()].sort((a, b) => a.size - b.size), findings };
}

/** The checkpoint, or why it does not count. */
function checked(
  note: string,
  { keys }: Pick<ReadCheckpointsOptions, 'keys'>,
  size: number | null,
): Checkpoint | string {
  try {
    const { checkpoint, keyIds } = readNote(note);
    if (signedBy(note, keys) === null)
      return `it is not signed by a trusted key, or was changed (it names ${keyIds.join(', ') || 'none'})`;
    return size === null || checkpoint.size === size ? checkpoint : `it stands in the place of another one`;
  } catch (error) {
    if (error instanceof Refusal) return error.message;
    throw error;
  }
}
