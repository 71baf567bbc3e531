/** Searching a class by vectors. */
import { z } from 'zod';
import type { Vector } from '../domain/meaning/embedder.ts';
import { type Passage, type PassageFilter, type PassageHit, passageKinds } from '../domain/meaning/vectorIndex.ts';
import { weaviateFilter } from './weaviateFilter.ts';
import { unreadable, type WeaviateCall, type WeaviateTransport } from './weaviateTransport.ts';

const FIELDS = 'project discussionId kind agentId eventId stream revision position chunk starts ends at text';
const LOOKS_AT_ONCE = 8;
/** How many are looked at for an object of its own vector; further only while the last one is as near as itself. */
const LOOKS = [1, 10, 100, 1_000] as const;
/** Cosine distances of the same vector, in single precision. */
const TIE = 1e-5;

const hitSchema = z
  .object({
    project: z.string(),
    discussionId: z.string(),
    kind: z.enum(passageKinds),
    agentId: z.string().nullable(),
    eventId: z.string(),
    stream: z.string(),
    revision: z.int(),
    position: z.string(),
    chunk: z.int(),
    starts: z.int(),
    ends: z.int(),
    at: z.string(),
    text: z.string(),
    _additional: z.object({ id: z.string(), distance: z.number() }),
  })
  .transform(({ _additional: { id, distance }, at, ...rest }): PassageHit => {
    // It takes zeros off the fraction of a second.
    const passage: Passage = { passageId: id, ...rest, at: new Date(at).toISOString() };
    return { passage, score: 1 - distance };
  });
const nearSchema = z.object({ _additional: z.object({ id: z.string(), distance: z.number() }) });

/** The nearest that pass the filter. Rejects with the signal's reason, or as the client's commands do. */
export async function searchObjects(
  transport: WeaviateTransport,
  className: string,
  { vector, filter, limit }: { vector: Vector; filter: PassageFilter; limit: number },
  signal: AbortSignal,
): Promise<PassageHit[]> {
  const call = { what: 'a search', deadlineMs: transport.limits.readMs, signal };
  const where = weaviateFilter(filter);
  const fields = `${FIELDS} _additional{id distance}`;
  return await nearest(transport, call, hitSchema, { className, vector, limit, where, fields });
}

/**
 * Which of the objects no search for their own vector gives (W1). Without a filter, which would hide the loss. Texts that
 * are the same have the same vector and hide each other: of more of them than a search gives, none counts as lost.
 */
export async function unfindableObjects(
  transport: WeaviateTransport,
  className: string,
  objects: readonly { passageId: string; vector: Vector }[],
): Promise<string[]> {
  const byVector = new Map<string, { passageId: string; vector: Vector }[]>();
  for (const object of objects) {
    const key = object.vector.join();
    const same = byVector.get(key);
    if (same === undefined) byVector.set(key, [object]);
    else same.push(object);
  }
  const waiting = [...byVector.values()];
  const lost = new Set<string>();
  const look = async (): Promise<void> => {
    for (let same = waiting.shift(); same !== undefined; same = waiting.shift())
      for (const id of await lostOf(transport, className, same)) lost.add(id);
  };
  try {
    await Promise.all(Array.from({ length: LOOKS_AT_ONCE }, look));
  } finally {
    // After a failure the others must not go on for nobody.
    waiting.length = 0;
  }
  return objects.map(({ passageId }) => passageId).filter((id) => lost.has(id));
}

async function lostOf(
  transport: WeaviateTransport,
  className: string,
  same: readonly { passageId: string; vector: Vector }[],
): Promise<string[]> {
  const call = { what: 'a search for what was stored', deadlineMs: transport.limits.readMs };
  const [first] = same;
  const missing = new Set(same.map(({ passageId }) => passageId));
  for (const limit of LOOKS) {
    const asked = { className, vector: first?.vector ?? [], limit, where: null, fields: '_additional{id distance}' };
    const near = await nearest(transport, call, nearSchema, asked);
    for (const { _additional: hit } of near) missing.delete(hit.id);
    const last = near.at(-1)?._additional.distance ?? Infinity;
    if (missing.size === 0 || near.length < limit || last > TIE) return [...missing];
  }
  return [];
}

async function nearest<T>(
  transport: WeaviateTransport,
  call: WeaviateCall,
  schema: z.ZodType<T>,
  asked: {
    className: string;
    vector: Vector;
    limit: number;
    where: ReturnType<typeof weaviateFilter>;
    fields: string;
  },
): Promise<T[]> {
  const { GraphQLGetter } = await import('weaviate-ts-client');
  const { className, vector, limit, where, fields } = asked;
  const getter = new GraphQLGetter(transport.connection(call))
    .withClassName(className)
    .withFields(fields)
    .withNearVector({ vector: [...vector] })
    .withLimit(limit);
  if (where !== null) getter.withWhere(where);
  const answer: { data: unknown } = await getter.do();
  const read = z.object({ Get: z.record(z.string(), z.array(schema)) }).safeParse(answer.data);
  const hits = read.data?.Get[className];
  if (hits === undefined) throw unreadable(call);
  return hits;
}
