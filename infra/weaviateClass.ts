/** One class for each version of the index: its name, its properties, and what it is checked for. */
import { z } from 'zod';
import type { IndexSpec } from '../domain/meaning/vectorIndex.ts';
import { Refusal } from '../domain/refusal.ts';
import { fail, refusalOf, WeaviateFault } from './weaviateFault.ts';
import { unreadable, type WeaviateTransport } from './weaviateTransport.ts';

const field = { dataType: ['text'], tokenization: 'field', indexFilterable: true, indexSearchable: false };
const kept = { dataType: ['text'], tokenization: 'field', indexFilterable: false, indexSearchable: false };
const whole = { dataType: ['int'], indexFilterable: false };

/** `text` is found by its vector, or by PostgreSQL's full text. An `agentId` that is null is left out. */
const PROPERTIES: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  project: field,
  discussionId: field,
  kind: field,
  agentId: field,
  eventId: field,
  stream: field,
  revision: { dataType: ['int'], indexFilterable: true, indexRangeFilters: true },
  position: kept,
  chunk: whole,
  starts: whole,
  ends: whole,
  at: { dataType: ['date'], indexFilterable: true, indexRangeFilters: true },
  text: kept,
};

const classSchema = z.object({
  class: z.string(),
  description: z.string().nullish(),
  vectorizer: z.string().nullish(),
  vectorIndexType: z.string().nullish(),
  vectorIndexConfig: z.looseObject({ distance: z.string().nullish() }).nullish(),
  multiTenancyConfig: z.looseObject({ enabled: z.boolean() }).nullish(),
  properties: z.array(z.looseObject({ name: z.string() })).nullish(),
});
const schemaSchema = z.object({ classes: z.array(z.object({ class: z.string() })).nullish() });
const specSchema = z.object({
  model: z.string(),
  digest: z.string().nullable(),
  dimensions: z.int().positive(),
  chunker: z.string(),
});

export interface WeaviateClasses {
  /** The version's class. */
  name(version: number): string;
  create(version: number, spec: IndexSpec): Promise<void>;
  /** The spec as it is now, null when there is no such class. `Refusal('conflict')` for a class that is not as we make them. */
  describe(version: number): Promise<IndexSpec | null>;
  /** As `describe`, but `Refusal('conflict')` when there is none. */
  expect(version: number): Promise<IndexSpec>;
  /** As `expect`, from memory when it was described before. */
  remembered(version: number): Promise<IndexSpec>;
  /**
   * Runs what needs the class. What Weaviate refuses becomes a refusal of ours: `conflict` when the class is gone, which
   * it says in four ways, else `unavailable`.
   */
  using<T>(version: number, work: (className: string) => Promise<T>): Promise<T>;
  drop(version: number): Promise<void>;
  versions(): Promise<number[]>;
}

/** @param lineage the installation's id: several may share a server. @param ready rejects unless the server is ready. */
export function weaviateClasses(
  transport: WeaviateTransport,
  lineage: string,
  ready: () => Promise<void>,
): WeaviateClasses {
  const { readMs } = transport.limits;
  const prefix = `Colloquy_${lineage.replaceAll('-', '')}_passages_v`;
  const name = (version: number) => `${prefix}${checkedVersion(version)}`;
  const known = new Map<number, IndexSpec>();
  const describe = async (version: number): Promise<IndexSpec | null> => {
    await ready();
    const call = { what: 'to tell an index', deadlineMs: readMs };
    const body = await transport.ask('GET', `/schema/${name(version)}`, call).catch((error: unknown) => {
      if (error instanceof WeaviateFault && error.status === 404) return null;
      throw refusalOf(error);
    });
    known.delete(version);
    if (body === null) return null;
    const spec = checkedClass(body, call);
    known.set(version, spec);
    return spec;
  };
  const expect = async (version: number): Promise<IndexSpec> => {
    const spec = await describe(version);
    if (spec === null) throw gone(version);
    return spec;
  };
  return {
    name,
    describe,
    expect,
    remembered: async (version) => known.get(version) ?? (await expect(version)),
    async create(version, spec) {
      if ((await describe(version)) === null) await createClass(transport, classOf(name(version), spec));
      const there = await expect(version);
      if (JSON.stringify(ordered(there)) !== JSON.stringify(ordered(spec)))
        throw new Refusal('conflict', `version ${version} of the index exists with another model or chunker: rebuild`);
    },
    async using(version, work) {
      try {
        return await work(name(version));
      } catch (error) {
        const settings = error instanceof WeaviateFault && [401, 403].includes(error.status);
        if (error instanceof WeaviateFault && !settings && (await describe(version).catch(() => 'unknown')) === null)
          throw gone(version);
        throw refusalOf(error);
      }
    },
    async drop(version) {
      await ready();
      known.delete(version);
      await dropClass(transport, name(version));
    },
    async versions() {
      await ready();
      return await numbersOf(transport, prefix);
    },
  };
}

async function createClass(transport: WeaviateTransport, wanted: object): Promise<void> {
  const { ClassCreator } = await import('weaviate-ts-client');
  const connection = transport.connection({ what: 'to create an index', deadlineMs: transport.limits.writeMs });
  const creating = new ClassCreator(connection).withClass(wanted).do();
  await creating.catch((error: unknown) => {
    // Somebody else was faster.
    if (!(error instanceof WeaviateFault && error.says(/already exists/))) throw refusalOf(error);
  });
}

async function dropClass(transport: WeaviateTransport, className: string): Promise<void> {
  const { ClassDeleter } = await import('weaviate-ts-client');
  const connection = transport.connection({ what: 'to drop an index', deadlineMs: transport.limits.writeMs });
  await new ClassDeleter(connection).withClassName(className).do().catch(fail);
}

async function numbersOf(transport: WeaviateTransport, prefix: string): Promise<number[]> {
  const call = { what: 'to list indexes', deadlineMs: transport.limits.readMs };
  const found = schemaSchema.safeParse(await transport.ask('GET', '/schema', call).catch(fail));
  if (!found.success) throw unreadable(call);
  const endings = (found.data.classes ?? [])
    .filter((each) => each.class.startsWith(prefix))
    .map((each) => each.class.slice(prefix.length));
  return endings
    .filter((ending) => /^[1-9]\d*$/.test(ending))
    .map(Number)
    .sort((a, b) => a - b);
}

function gone(version: number): Refusal {
  return new Refusal('conflict', `version ${version} of the index is gone: rebuild it`);
}

/** It becomes part of a path and of a query (W17). */
function checkedVersion(version: number): number {
  if (!Number.isSafeInteger(version) || version < 1)
    throw new Refusal('invalid', 'a version of an index is a whole number from 1');
  return version;
}

function ordered({ model, digest, dimensions, chunker }: IndexSpec): unknown {
  return [model, digest, dimensions, chunker];
}

function classOf(name: string, spec: IndexSpec): object {
  return {
    class: name,
    description: JSON.stringify(spec),
    vectorizer: 'none',
    vectorIndexType: 'hnsw',
    vectorIndexConfig: { distance: 'cosine' },
    multiTenancyConfig: { enabled: false },
    properties: Object.entries(PROPERTIES).map(([property, settings]) => ({ name: property, ...settings })),
  };
}

/** Weaviate accepts what it does not know, and makes up what is missing (W8, W10): what stands there is read. */
function checkedClass(body: unknown, call: { what: string }): IndexSpec {
  const read = classSchema.safeParse(body);
  if (!read.success) throw unreadable(call);
  const { data } = read;
  const properties = new Map((data.properties ?? []).map((property) => [property.name, property]));
  const differs = Object.entries(PROPERTIES).some(([property, settings]) =>
    Object.entries(settings).some(
      ([key, value]) => JSON.stringify(properties.get(property)?.[key]) !== JSON.stringify(value),
    ),
  );
  const spec = specSchema.safeParse(jsonIn(data.description ?? ''));
  const ours =
    data.vectorizer === 'none' &&
    data.vectorIndexType === 'hnsw' &&
    data.vectorIndexConfig?.distance === 'cosine' &&
    data.multiTenancyConfig?.enabled !== true;
  if (differs || !ours || !spec.success)
    throw new Refusal(
      'conflict',
      `the class ${data.class} in Weaviate is not as Colloquy makes it: drop it, and rebuild`,
    );
  return spec.data;
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
