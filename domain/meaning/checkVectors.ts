/** What every store of vectors refuses before anything is sent to it. */
import { Refusal } from '../refusal.ts';
import type { Vector } from './embedder.ts';
import type { PassageFilter, VectorObject } from './vectorIndex.ts';

/** As uuidv5 writes them: another spelling would come back as another id. */
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
/** Stores keep single precision: the squares of shorter or longer vectors are 0 or infinite there. */
const SHORTEST = 1e-12;
const LONGEST = 1e12;
const MOST_HITS = 1_000;

/** @throws Refusal `invalid` unless it has so many dimensions, all finite, and a length that single precision can hold. */
export function checkVector(vector: Vector, dimensions: number): void {
  if (vector.length !== dimensions)
    throw invalid(`a vector of ${vector.length} numbers does not fit an index of ${dimensions}: choose the same model`);
  if (!vector.every((value) => Number.isFinite(value))) throw invalid('a vector must hold finite numbers only');
  const length = Math.hypot(...vector);
  if (length === 0) throw invalid('a vector must not be all zero');
  if (length < SHORTEST || length > LONGEST) throw invalid('a vector must be of length 1, or near it');
}

/** @throws Refusal `invalid` for an id that is no UUID in lower case. */
export function checkIds(passageIds: readonly string[]): void {
  if (!passageIds.every((id) => UUID.test(id))) throw invalid('ids of passages must be UUIDs in lower case');
}

/** @throws Refusal `invalid` for vectors, ids, times and texts that a store cannot keep as they are. */
export function checkObjects(objects: readonly VectorObject[], dimensions: number): void {
  checkIds(objects.map(({ passage }) => passage.passageId));
  for (const { passage, vector } of objects) {
    checkVector(vector, dimensions);
    checkTime(passage.at);
    checkTexts(Object.values(passage));
  }
}

/** @throws Refusal `invalid` for a search that no store can answer; see also `findsNothing`. */
export function checkWanted(
  { vector, filter, limit }: { vector: Vector; filter: PassageFilter; limit: number },
  dimensions: number,
): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > MOST_HITS)
    throw invalid(`limit must be a whole number from 1 to ${MOST_HITS}`);
  checkVector(vector, dimensions);
  for (const time of [filter.from, filter.to]) if (time !== undefined) checkTime(time);
  checkTexts([...(filter.projects ?? []), filter.agentId, ...discussionsOf(filter)]);
}

/** Whether one of the filter's lists is empty, so that no store need be asked. */
export function findsNothing({ projects, within, kinds }: PassageFilter): boolean {
  return [projects, within, kinds].some((list) => list?.length === 0);
}

function discussionsOf({ within = [], except = [] }: PassageFilter): string[] {
  return [...within, ...except].map(({ discussionId }) => discussionId);
}

function checkTime(time: string): void {
  if (!RFC_3339.test(time) || Number.isNaN(Date.parse(time))) throw invalid('times must be dates as in RFC 3339');
}

/** PostgreSQL keeps neither, and no event holds them. */
function checkTexts(values: readonly unknown[]): void {
  for (const value of values)
    if (typeof value === 'string' && (value.includes('\u0000') || !value.isWellFormed()))
      throw invalid('a text must not contain NUL characters or lone surrogates');
}

function invalid(detail: string): Refusal {
  return new Refusal('invalid', detail);
}
