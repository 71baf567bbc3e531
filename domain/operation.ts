/** Long work that answers at once and goes on: what it is, how far it is, how it ended. */
export interface Operation {
  readonly id: string;
  readonly kind: string;
  readonly status: 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled';
  readonly progress: Progress;
  readonly result: unknown;
  readonly error: { readonly code: string; readonly detail: string } | null;
  /** RFC 3339. */
  readonly startedAt: string;
}

/** In units of the work's own; `rate` is per second. */
export interface Progress {
  readonly done: number;
  readonly total: number;
  readonly rate: number;
  readonly etaSeconds: number | null;
  readonly note: string;
}

/** How work ended. */
export type Outcome = Pick<Operation, 'progress' | 'result' | 'error'> & {
  readonly status: 'succeeded' | 'failed' | 'cancelled';
};

/** Work of which nothing was heard for so long has lost its process. */
export const SILENT_MS = 30_000;
