/** What is asked of a Weaviate before it is believed, and what an operator is shown. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import { fail, refusalOf, WeaviateFault, wrongSetting } from './weaviateFault.ts';
import { createWeaviateTransport, unreadable, type WeaviateTransport } from './weaviateTransport.ts';

const metaSchema = z.object({ version: z.string() });
const statusesSchema = z.array(
  z.object({ result: z.object({ errors: z.unknown().optional(), status: z.string().optional() }) }),
);
const raftSchema = z.object({
  statistics: z.array(z.object({ name: z.string(), raft: z.object({ term: z.string() }) })).min(1),
});
const classesSchema = z.object({ classes: z.array(z.object({ class: z.string() })).nullish() });
const shardsSchema = z.array(z.object({ name: z.string(), status: z.string() }));

/** Classes are looked at one by one. */
const MOST_CLASSES = 50;

export interface WeaviateHealth {
  readonly version: string;
  /** On, a write to an index that is gone would make one of the wrong kind (W10). */
  readonly autoSchema: boolean;
  /** Of our classes, those that take no writes (W20); null when the key may not see them. */
  readonly readOnly: readonly { readonly class: string; readonly shard: string }[] | null;
}

/**
 * Rejects with `Refusal('unavailable')` until the server says that it is ready; that it lives is not enough: while it
 * starts, some of its answers are 200 and empty.
 */
export async function weaviateReady(transport: WeaviateTransport): Promise<void> {
  const call = { what: 'whether it is ready', deadlineMs: transport.limits.readMs };
  await transport.ask('GET', '/.well-known/ready', call).catch((error: unknown) => {
    if (error instanceof WeaviateFault && error.status === 503)
      throw new Refusal('unavailable', `Weaviate at ${transport.place} is not ready yet`);
    throw refusalOf(error);
  });
}

/**
 * Version and settings, once the server is ready. Rejects with `Refusal('unavailable')`, which is not retryable when the
 * key is wrong or lacks a right.
 */
export async function weaviateFacts(transport: WeaviateTransport): Promise<{ version: string; autoSchema: boolean }> {
  await weaviateReady(transport);
  const call = { what: 'for its version', deadlineMs: transport.limits.readMs };
  const meta = metaSchema.safeParse(await transport.ask('GET', '/meta', call).catch(fail));
  if (!meta.success) throw unreadable(call);
  return { version: meta.data.version, autoSchema: await hasAutoSchema(transport) };
}

/** @throws Refusal `unavailable`, not retryable, where classes would be made up. */
export function refuseAutoSchema({ autoSchema }: { autoSchema: boolean }): void {
  if (autoSchema)
    throw wrongSetting('Weaviate would make up classes that are missing: start it with AUTOSCHEMA_ENABLED=false');
}

/**
 * Nothing tells of the setting, so an object that can never be stored, because of a property without a name, is written
 * to a class that is not there: only where classes are made up its property is looked at first.
 */
async function hasAutoSchema(transport: WeaviateTransport): Promise<boolean> {
  const call = { what: 'for AUTOSCHEMA_ENABLED', deadlineMs: transport.limits.readMs };
  const object = { class: 'Colloquy_nothing', id: randomUUID(), vector: [1], properties: { '': 1 } };
  const body = await transport.ask('POST', '/batch/objects', call, { objects: [object] }).catch(fail);
  const [tried] = statusesSchema.safeParse(body).data ?? [];
  if (tried?.result.status !== 'FAILED') throw unreadable(call);
  return !/not present in schema/.test(JSON.stringify(tried.result.errors));
}

/**
 * The raft term, which goes up with every start of a node that is alone. Where it is not to be had (the right for it is
 * missing), another text for each process, so that its owner looks after every start.
 */
export function weaviateIncarnation(transport: WeaviateTransport): () => Promise<string> {
  const own = `process ${randomUUID()}`;
  const call = { what: 'for its incarnation', deadlineMs: transport.limits.readMs };
  return async () => {
    await weaviateReady(transport);
    try {
      const { statistics } = raftSchema.parse(await transport.ask('GET', '/cluster/statistics', call));
      return statistics
        .map(({ name, raft }) => `${name} ${raft.term}`)
        .sort()
        .join(', ');
    } catch (error) {
      const hidden =
        error instanceof z.ZodError || (error instanceof WeaviateFault && [403, 404].includes(error.status));
      if (hidden) return own;
      throw refusalOf(error);
    }
  };
}

/**
 * For an operator; whether ASYNC_INDEXING is on, which it must not be (W23), nothing tells. Rejects as `weaviateFacts`.
 * @throws Refusal `invalid` when the URL or the key cannot be used.
 */
export async function weaviateHealth(options: {
  url: string;
  apiKey?: string | undefined;
  clock: Clock;
}): Promise<WeaviateHealth> {
  const transport = createWeaviateTransport(options);
  try {
    const facts = await weaviateFacts(transport);
    return { ...facts, readOnly: await readOnlyShards(transport) };
  } finally {
    transport.close();
  }
}

async function readOnlyShards(transport: WeaviateTransport): Promise<WeaviateHealth['readOnly']> {
  const call = { what: 'for its shards', deadlineMs: transport.limits.readMs };
  try {
    const { classes } = classesSchema.parse(await transport.ask('GET', '/schema', call));
    const ours = (classes ?? []).map((each) => each.class).filter((name) => /^Colloquy_\w+$/.test(name));
    const readOnly: { class: string; shard: string }[] = [];
    for (const name of ours.slice(0, MOST_CLASSES)) {
      const shards = shardsSchema.parse(await transport.ask('GET', `/schema/${name}/shards`, call));
      const stopped = shards.filter(({ status }) => status === 'READONLY');
      readOnly.push(...stopped.map((shard) => ({ class: name, shard: shard.name })));
    }
    return readOnly;
  } catch (error) {
    if (error instanceof WeaviateFault && error.status === 403) return null;
    if (error instanceof z.ZodError) throw unreadable(call);
    throw refusalOf(error);
  }
}
