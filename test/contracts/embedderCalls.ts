/** What the Embedder contract is asked with, and how its vectors are looked at. */
import * as assert from 'uvu/assert';
import type { Embedder, Vector } from '../../domain/meaning/embedder.ts';
import type { EmbeddingFault } from '../standins/embeddingFaults.ts';

export interface EmbedderSubject {
  readonly embedder: Embedder;
  /** As `describe` must tell. */
  readonly name: string;
  readonly dimensions: number;
  /** A text that it must refuse. */
  readonly tooLong?: string;
  /** Another one of the same, for a test that closes it. */
  readonly open: () => Embedder;
  /** Of a model that cannot embed. */
  readonly cannotEmbed?: Embedder;
  /** Of a model that is not there, of a server that is not there. */
  readonly absent?: readonly Embedder[];
  /** Requests that reached the provider so far, and what it works on now. */
  readonly asked?: () => number;
  readonly working?: () => number;
  /** Makes the provider misbehave until null. */
  readonly fail?: (fault: EmbeddingFault | null) => void;
  stop(): Promise<void>;
}

/** The subject, once it is made. */
export type Given = () => EmbedderSubject;

export const slow = { deadlineMs: 240_000 };
export const forever = { signal: new AbortController().signal };
export const [fruit, login, flood] = [
  'Apples and bananas are rich in vitamins.',
  'The login token expires after one hour.',
  'The river flooded the whole village.',
];
/** More than a batch of anyone's. */
export const many = Array.from({ length: 20 }, (_, i) => `Sentence number ${i} about rivers and stones.`);
/** Finite numbers of length 1, so many of them. */
export function isVector(vector: Vector | undefined, dimensions: number): void {
  assert.is(vector?.length, dimensions);
  assert.ok(vector?.every(Number.isFinite));
  assert.ok(Math.abs(Math.hypot(...(vector ?? [])) - 1) < 1e-9);
}

/** Cosine of the angle between two of them. */
export function near(a: Vector | undefined, b: Vector | undefined): number {
  return (a ?? []).reduce((sum, number, at) => sum + number * (b?.[at] ?? Number.NaN), 0);
}

/** The same but for the last digits of a float32. */
export function same(a: Vector | undefined, b: Vector | undefined): void {
  assert.ok(near(a, b) > 1 - 1e-5, `cosine ${near(a, b)}`);
}
