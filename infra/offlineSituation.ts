import type { OfflineMaterial } from './offlineMaterial.ts';
import type { Phase } from './offlineMoves.ts';
import type { Stance } from './offlineStances.ts';

/** Everything a turn is composed from. */
export interface Situation {
  readonly material: OfflineMaterial;
  readonly stance: Stance;
  readonly phase: Phase;
  /** What was said as far as the prompt shows it, as `bareText`. */
  readonly saidBare: string;
  /** Differs for every prompt. */
  readonly variant: number;
  /** The same for all turns of a discussion with one seed: sentences are then taken in turn, not by luck. */
  readonly key: string;
}
