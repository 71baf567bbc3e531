/** What can be done with backups, as the API and the command line see it. */
import type { BackupSummary, Manifest } from './manifest.ts';
import type { Keep } from './retention.ts';

/** Tells how far the work is, in events. */
export type Report = (done: number, total: number, note: string) => void;

export interface Verified {
  readonly id: string;
  readonly ok: boolean;
  /** What is wrong, a sentence each; the first ones only. */
  readonly findings: readonly string[];
  readonly events: number;
  readonly parts: number;
  /** Checkpoints of the audit that the events were held against; null when the backup holds none. */
  readonly checkpoints: { readonly checked: number; readonly coveredTo: string } | null;
}

export interface Pruned {
  readonly dryRun: boolean;
  readonly removed: readonly string[];
  readonly kept: number;
}

/** Backups that are there. Needs no database. */
export interface BackupShelf {
  /** Oldest first. */
  list(): Promise<BackupSummary[]>;
  /** @throws Refusal `not-found`. */
  get(id: string): Promise<Manifest>;
  /** Reads all of it with the private key. @throws Refusal `not-found`, `unavailable` without a key that opens it. */
  verify(id: string, report: Report, signal: AbortSignal): Promise<Verified>;
  /** Removes what the rules do not keep. Without rules of its own those of the settings count. */
  prune(options: Keep & { readonly dryRun: boolean }): Promise<Pruned>;
}

export interface Backups extends BackupShelf {
  /** @throws Refusal `conflict` while another process makes one. */
  create(report: Report, signal: AbortSignal): Promise<BackupSummary>;
}
