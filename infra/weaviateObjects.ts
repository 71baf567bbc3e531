/** Writing, deleting and listing the objects of a class. */
import type { WeaviateObject } from 'weaviate-ts-client';
import { z } from 'zod';
import type { Vector } from '../domain/meaning/embedder.ts';
import type { Passage, VectorObject } from '../domain/meaning/vectorIndex.ts';
import { WeaviateFault } from './weaviateFault.ts';
import { withIds } from './weaviateFilter.ts';
import { unreadable, type WeaviateTransport } from './weaviateTransport.ts';

/** W24: the server takes 40 MiB, but answers a batch with all its objects. */
const BATCH = { objects: 250, bytes: 4 << 20 };
const BYTES_PER_NUMBER = 24;
const BYTES_PER_UNIT = 3;
const BYTES_BESIDE = 1_000;
const IDS_AT_ONCE = 500;
const VECTORS_AT_ONCE = 100;
const PAGE = 1_000;
/** A delete takes at most QUERY_MAXIMUM_RESULTS objects a call (W12), 10,000 unless an operator made it less. */
const MOST_DELETES = 100;
const LEAST_UUID = '00000000-0000-0000-0000-000000000000';

const errorsSchema = z.object({ error: z.array(z.object({ message: z.string() })) }).nullish();
const batchSchema = z.array(
  z.object({ id: z.string(), result: z.object({ status: z.string(), errors: errorsSchema }) }),
);
const deletedSchema = z.object({
  results: z.object({
    matches: z.number(),
    successful: z.number(),
    failed: z.number(),
    objects: z.array(z.object({ status: z.string().optional(), errors: errorsSchema })).nullish(),
  }),
});
const pageSchema = z.object({
  Get: z.record(z.string(), z.array(z.object({ discussionId: z.string(), _additional: z.object({ id: z.uuid() }) }))),
});
const vectorsSchema = z.object({
  Get: z.record(
    z.string(),
    z.array(z.object({ _additional: z.object({ id: z.string(), vector: z.array(z.number()) }) })),
  ),
});

export type StoredId = { readonly passageId: string; readonly discussionId: string };

/**
 * Stores the objects batch by batch; a batch counts only when each of its objects has its own success (W3). Rejects with
 * `WeaviateFault` when one has not, and then some are stored, FAILED ones too (W4).
 */
export async function putObjects(
  transport: WeaviateTransport,
  className: string,
  objects: readonly VectorObject[],
): Promise<void> {
  const { ObjectsBatcher } = await import('weaviate-ts-client');
  const call = { what: 'to store passages', deadlineMs: transport.limits.writeMs };
  // Of one id the last object stands, whatever order they would be stored in.
  const unique = new Map(objects.map((object) => [object.passage.passageId, object]));
  for (const batch of batches(unique.values())) {
    const sent = batch.map((object) => objectOf(className, object));
    const answer: unknown = await new ObjectsBatcher(transport.connection(call)).withObjects(...sent).do();
    const read = batchSchema.safeParse(answer);
    if (!read.success || read.data.length !== batch.length) throw unreadable(call);
    if (!read.data.every(({ id }, index) => id === batch[index]?.passage.passageId)) throw unreadable(call);
    const failed = read.data.find(({ result }) => result.status !== 'SUCCESS');
    if (failed) throw new WeaviateFault(call.what, 200, failed.result.errors?.error[0]?.message ?? '');
  }
}

/** Deletes by ids in this class only (W7), until none matches (W12); `WeaviateFault` when it does not get on. */
export async function removeObjects(
  transport: WeaviateTransport,
  className: string,
  passageIds: readonly string[],
): Promise<void> {
  const { ObjectsBatchDeleter } = await import('weaviate-ts-client');
  const call = { what: 'to delete passages', deadlineMs: transport.limits.writeMs };
  for (const ids of slices(passageIds, IDS_AT_ONCE)) {
    for (let tries = 1, left = 1; left > 0; tries += 1) {
      const deleter = new ObjectsBatchDeleter(transport.connection(call));
      const wanted = deleter.withClassName(className).withWhere(withIds(ids)).withOutput('verbose');
      const read = deletedSchema.safeParse(await wanted.do());
      if (!read.success) throw unreadable(call);
      const { matches, successful, failed, objects } = read.data.results;
      left = matches;
      if (failed > 0 || (left > 0 && successful === 0) || tries > MOST_DELETES)
        throw new WeaviateFault(call.what, 200, JSON.stringify(objects?.find(({ errors }) => errors) ?? ''));
    }
  }
}

/** The vectors of those that are stored, by id. */
export async function vectorsOf(
  transport: WeaviateTransport,
  className: string,
  passageIds: readonly string[],
): Promise<Map<string, Vector>> {
  const { GraphQLGetter } = await import('weaviate-ts-client');
  const call = { what: 'for vectors', deadlineMs: transport.limits.readMs };
  const found = new Map<string, Vector>();
  for (const ids of slices(passageIds, VECTORS_AT_ONCE)) {
    const getter = new GraphQLGetter(transport.connection(call)).withClassName(className).withWhere(withIds(ids));
    const answer: { data: unknown } = await getter.withFields('_additional{id vector}').withLimit(ids.length).do();
    const objects = vectorsSchema.safeParse(answer.data).data?.Get[className];
    if (objects === undefined) throw unreadable(call);
    for (const { _additional: object } of objects) found.set(object.id, object.vector);
  }
  return found;
}

/** Pages by cursor, in order of id (W14); what is deleted meanwhile does no harm. */
export async function pageOfObjects(
  transport: WeaviateTransport,
  className: string,
  after: string | null,
): Promise<StoredId[]> {
  const { GraphQLGetter } = await import('weaviate-ts-client');
  const call = { what: 'to list passages', deadlineMs: transport.limits.readMs };
  // An empty `after` is dropped by the builder; ids are ours, so they may stand in it (W17).
  const getter = new GraphQLGetter(transport.connection(call)).withClassName(className).withAfter(after ?? LEAST_UUID);
  const answer: { data: unknown } = await getter.withFields('discussionId _additional{id}').withLimit(PAGE).do();
  const objects = pageSchema.safeParse(answer.data).data?.Get[className];
  if (objects === undefined) throw unreadable(call);
  return objects.map(({ discussionId, _additional: { id } }) => ({ passageId: id, discussionId }));
}

function objectOf(className: string, { passage, vector }: VectorObject): WeaviateObject {
  const { passageId, agentId, ...properties }: Passage = passage;
  // What is null would vanish there anyway (W16).
  const said = agentId === null ? properties : { ...properties, agentId };
  return { class: className, id: passageId, vector: [...vector], properties: said };
}

/** Sizes are estimated from above. */
function* batches(objects: Iterable<VectorObject>): Generator<VectorObject[]> {
  let batch: VectorObject[] = [];
  let bytes = 0;
  for (const object of objects) {
    const own = object.vector.length * BYTES_PER_NUMBER + object.passage.text.length * BYTES_PER_UNIT + BYTES_BESIDE;
    if (batch.length === BATCH.objects || (batch.length > 0 && bytes + own > BATCH.bytes)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(object);
    bytes += own;
  }
  if (batch.length > 0) yield batch;
}

function* slices<T>(list: readonly T[], size: number): Generator<readonly T[]> {
  for (let start = 0; start < list.length; start += size) yield list.slice(start, start + size);
}
