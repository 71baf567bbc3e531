/** Passages and vectors that are the same at every run, and what an exact search among them finds. */
import { createHash } from 'node:crypto';
import type { Vector } from '../../domain/meaning/embedder.ts';
import type { IndexSpec, Passage, PassageFilter, VectorObject } from '../../domain/meaning/vectorIndex.ts';

export const DIMENSIONS = 32;
export const SPEC: IndexSpec = {
  model: 'ollama:"sample"',
  digest: 'sha256:{5}',
  dimensions: DIMENSIONS,
  chunker: 'c1',
};
export const EVERYTHING: PassageFilter = { projects: null };
const MINUTE_MS = 60_000;

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function randoms(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A vector of length 1 in any direction. */
export function aVector(random: () => number, dimensions = DIMENSIONS): Vector {
  // Sums of uniform numbers are near enough to a normal distribution for no direction to stand out.
  const raw = Array.from({ length: dimensions }, () => random() + random() + random() + random() - 2);
  return scaled(raw);
}

/** Near to `vector`: the nearer the smaller `by`. */
export function nearTo(vector: Vector, random: () => number, by: number): Vector {
  const other = aVector(random, vector.length);
  return scaled(vector.map((value, i) => value + by * (other[i] ?? 0)));
}

/** In the single precision in which models answer. */
function scaled(raw: readonly number[]): Vector {
  const length = Math.hypot(...raw);
  return Array.from(Float32Array.from(raw, (value) => value / length));
}

/** An id that follows from its name. */
export function anId(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** A passage whose id follows from its name. */
export function aPassage(name: string, fields: Partial<Passage> = {}): Passage {
  const discussionId = fields.discussionId ?? anId('discussion');
  return {
    passageId: anId(name),
    project: 'default',
    discussionId,
    kind: 'message',
    agentId: null,
    eventId: anId(`event ${name}`),
    stream: `discussion-${discussionId}`,
    revision: 7,
    position: '9007199254740993',
    chunk: 0,
    starts: 0,
    ends: 20,
    at: '2026-03-01T10:00:00.123Z',
    text: `The text of ${name}.`,
    ...fields,
  };
}

/** When the passage of a revision of the sample world was said. */
export function minute(revision: number): string {
  return new Date(Date.parse('2026-03-01T10:00:00Z') + revision * MINUTE_MS).toISOString();
}

/** 3 projects of 4 discussions with 20 passages each, of 4 agents and of people, one document each. */
export function sampleWorld(): VectorObject[] {
  const random = randoms(1);
  return Array.from({ length: 240 }, (_, i) => {
    const [discussion, revision] = [Math.floor(i / 20), i % 20];
    const passage = aPassage(`world ${i}`, {
      project: `project-${discussion % 3}`,
      discussionId: `d${discussion}`,
      kind: revision === 0 ? 'document' : 'message',
      agentId: revision % 5 === 0 ? null : `agent-${revision % 5}`,
      revision,
      position: String(1_000 + i),
      chunk: i % 2,
      starts: i,
      ends: i + 20,
      at: minute(revision),
    });
    return { passage, vector: aVector(random) };
  });
}

/** Whether a filter lets a passage through, told by reading the port's prose. */
export function passes(passage: Passage, filter: PassageFilter): boolean {
  const { projects, within, except = [], kinds, agentId, from, to } = filter;
  const { discussionId, revision } = passage;
  const at = Date.parse(passage.at);
  return (
    (projects === null || projects.includes(passage.project)) &&
    (within === undefined ||
      within.some((one) => one.discussionId === discussionId && (one.until === null || revision <= one.until))) &&
    !except.some((one) => one.discussionId === discussionId && revision >= one.from) &&
    (kinds === undefined || kinds.includes(passage.kind)) &&
    (agentId === undefined || passage.agentId === agentId) &&
    (from === undefined || at >= Date.parse(from)) &&
    (to === undefined || at < Date.parse(to))
  );
}

/** Ids of the nearest that pass, best first. */
export function exactNearest(
  objects: readonly VectorObject[],
  vector: Vector,
  filter: PassageFilter,
  limit: number,
): string[] {
  return objects
    .filter(({ passage }) => passes(passage, filter))
    .map((object) => ({ id: object.passage.passageId, score: cosine(object.vector, vector) }))
    .sort((a, b) => b.score - a.score)
    .slice(0, limit)
    .map(({ id }) => id);
}

/** Cosine of two vectors of length 1. */
export function cosine(a: Vector, b: Vector): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);
}

/** Passages of the default project with random vectors. */
export const someObjects = (count: number, seed: number): VectorObject[] => {
  const random = randoms(seed);
  return Array.from({ length: count }, (_, i) => ({ passage: aPassage(`${seed}/${i}`), vector: aVector(random) }));
};
/** Of its passage. */
export const idOf = ({ passage }: { readonly passage: Passage }): string => passage.passageId;
/** Of their passages, in order. */
export const idsOf = (objects: readonly { readonly passage: Passage }[]): string[] => objects.map(idOf);
/** As `unfindable` wants them. */
export const own = (objects: readonly VectorObject[]) =>
  objects.map((one) => ({ passageId: idOf(one), vector: one.vector }));
