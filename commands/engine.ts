import type { Authorizer, Clock, EventStore, Ids, Snapshots } from '../domain/ports.ts';
import type { Tracer } from '../domain/tracing.ts';
import type { StateCache } from './states.ts';
import type { Turnstile } from './turnstile.ts';

/** A command that was carried out, as the read model `commands` knows it. */
export interface ProcessedCommand {
  readonly stream: string;
  readonly firstRevision: number;
  readonly lastRevision: number;
  readonly bodySha256: string | null;
}

/** What commands need of the outside; made once by each composition root. */
export interface Engine {
  readonly store: EventStore;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly authorizer: Authorizer;
  readonly snapshots: Snapshots;
  readonly states: StateCache;
  readonly turnstile: Turnstile;
  /** Where spans go, if anywhere. */
  readonly tracer?: Tracer;
  /** The read model's answer, and the position up to which it has seen the log. */
  findCommand(commandId: string): Promise<{ found: ProcessedCommand | null; checkpoint: bigint }>;
}
