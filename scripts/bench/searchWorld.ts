/** What the search rows store and look for, from a seed; and the exact answers. */
import { v5 } from 'uuid';
import type { Vector } from '../../domain/meaning/embedder.ts';
import type { IndexSpec, PassageFilter, VectorObject } from '../../domain/meaning/vectorIndex.ts';
import { passageIdOf } from '../../projections/passages.ts';
import { randomFrom } from '../seed/random.ts';

export const SPEC: IndexSpec = { model: 'bench', digest: null, dimensions: 384, chunker: 'bench' };
/** Hits of a search. */
export const LIMIT = 10;

const NAMESPACE = '5a0c3d1e-8f42-4b1c-9a57-2d6e0b7f1c94';
/** Vectors lie around so many centres, as texts lie around subjects: among even noise nothing would be near anything. */
const CENTRES = 200;
const NOISE = 0.6;
const PROJECTS = 5;
const DISCUSSIONS = 200;
const BEGINS_MS = Date.UTC(2026, 0, 1);
const STEP_MS = 60_000;

export interface SearchWorld {
  readonly objects: readonly VectorObject[];
  readonly queries: readonly Vector[];
  /** By what the rows call them. */
  readonly filters: Readonly<Record<string, PassageFilter>>;
}

/** So many chunks of about 600 characters, in an order that has nothing to do with their vectors. */
export function searchWorld(chunks: number, queries: number): SearchWorld {
  const random = randomFrom(chunks);
  const centres = Array.from({ length: CENTRES }, () => normalised(noise(random, 1)));
  const near = (): Vector => {
    const centre = centres[Math.floor(random() * CENTRES)] ?? [];
    return normalised(noise(random, NOISE).map((value, i) => value + (centre[i] ?? 0)));
  };
  return {
    objects: Array.from({ length: chunks }, (_, i) => ({ passage: passageOf(i), vector: near() })),
    queries: Array.from({ length: queries }, near),
    filters: {
      'no filter': { projects: null },
      'project, 1 in 5': { projects: [projectOf(1)] },
      'discussion, 1 in 200': { projects: null, within: [{ discussionId: discussionOf(7), until: null }] },
      'time, 1 in 5': { projects: null, from: timeOf(Math.floor(chunks * 0.4)), to: timeOf(Math.floor(chunks * 0.6)) },
    },
  };
}

/** Of the ids that an exact search for each query gives, the part that `found` has, over all queries. */
export function recallOf(
  { objects, queries }: SearchWorld,
  filter: PassageFilter,
  found: readonly ReadonlySet<string>[],
): number {
  const passing = objects.filter(({ passage }) => passes(passage, filter));
  let [there, wanted] = [0, 0];
  for (const [i, query] of queries.entries()) {
    const near = passing.map(({ passage: { passageId }, vector }) => ({ passageId, score: dot(query, vector) }));
    const exact = near.sort((a, b) => b.score - a.score).slice(0, LIMIT);
    wanted += exact.length;
    there += exact.filter(({ passageId }) => found[i]?.has(passageId)).length;
  }
  return there / wanted;
}

function passes({ project, discussionId, at }: VectorObject['passage'], filter: PassageFilter): boolean {
  const { projects, within, from = '', to = '9' } = filter;
  if (projects !== null && !projects.includes(project)) return false;
  if (within !== undefined && !within.some((each) => each.discussionId === discussionId)) return false;
  return at >= from && at < to;
}

function passageOf(i: number): VectorObject['passage'] {
  const eventId = v5(`event ${i}`, NAMESPACE);
  const discussionId = discussionOf(i % DISCUSSIONS);
  const text = `Chunk ${i}: what the choice makes easy, what it makes hard later on, and who pays. `.repeat(7);
  return {
    ...{ passageId: passageIdOf(eventId, 0), project: projectOf(Math.floor(i / DISCUSSIONS) % PROJECTS), discussionId },
    ...{ kind: 'message', agentId: i % 2 === 0 ? discussionOf(i % 10) : null, eventId },
    ...{ stream: `discussion-${discussionId}`, revision: i, position: String(i + 1) },
    ...{ chunk: 0, starts: 0, ends: text.length, at: timeOf(i), text },
  };
}

const projectOf = (i: number): string => `project-${i}`;
const discussionOf = (i: number): string => v5(`discussion ${i}`, NAMESPACE);
const timeOf = (i: number): string => new Date(BEGINS_MS + i * STEP_MS).toISOString();

/** A vector of about that length, in any direction. */
function noise(random: () => number, length: number): number[] {
  const scale = length * Math.sqrt(3 / SPEC.dimensions);
  return Array.from({ length: SPEC.dimensions }, () => scale * (2 * random() - 1));
}

/** In single precision, as stores keep them. */
function normalised(vector: readonly number[]): number[] {
  const length = Math.hypot(...vector);
  return vector.map((value) => Math.fround(value / length));
}

function dot(a: Vector, b: Vector): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}
