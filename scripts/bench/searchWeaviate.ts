/** Weaviate by the port, and by plain requests. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { PassageFilter, VectorObject } from '../../domain/meaning/vectorIndex.ts';
import { systemClock } from '../../infra/system.ts';
import { createWeaviate } from '../../infra/weaviate.ts';
import { SPEC } from './searchWorld.ts';
import { RAW_DEADLINE_MS, type SearchStore } from './searchStores.ts';

const FIELDS =
  'project discussionId kind agentId eventId stream revision position chunk starts ends at text _additional{id distance}';
const answerSchema = z.object({
  data: z.object({ Get: z.record(z.string(), z.array(z.object({ _additional: z.object({ id: z.string() }) }))) }),
});

/** Under a lineage of its own. */
export function openWeaviateStore(url: string): SearchStore {
  const lineage = randomUUID();
  const index = createWeaviate({ url, lineage, clock: systemClock });
  const classOf = (version: number) => `Colloquy_${lineage.replaceAll('-', '')}_passages_v${version}`;
  // The same class, in which nothing but the version differs.
  const rawVersion = (version: number) => version + 1_000;
  return {
    index,
    raw: {
      create: (version) => index.create(rawVersion(version), SPEC),
      async put(version, objects) {
        const className = classOf(rawVersion(version));
        await ask(`${url}/v1/batch/objects`, { objects: objects.map((object) => objectOf(className, object)) });
      },
      complete: null,
      async search(version, { vector, filter, limit }) {
        const where = whereOf(filter);
        const query = `{Get{${classOf(version)}(nearVector:{vector:[${vector.join()}]},limit:${limit}${where}){${FIELDS}}}}`;
        const { data } = answerSchema.parse(JSON.parse(await ask(`${url}/v1/graphql`, { query })));
        return (data.Get[classOf(version)] ?? []).map((hit) => hit._additional.id);
      },
      drop: (version) => index.drop(rawVersion(version)),
    },
    async close() {
      for (const version of await index.versions()) await index.drop(version);
      await index.close();
    },
  };
}

async function ask(url: string, body: object): Promise<string> {
  const headers = { 'content-type': 'application/json' };
  const signal = AbortSignal.timeout(RAW_DEADLINE_MS);
  const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body), signal });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`Weaviate answered ${answer.status}: ${text.slice(0, 200)}`);
  return text;
}

function objectOf(className: string, { passage: { passageId, agentId, ...rest }, vector }: VectorObject): object {
  const properties = agentId === null ? rest : { ...rest, agentId };
  return { class: className, id: passageId, vector, properties };
}

/** By hand for the filters of the rows. */
function whereOf({ projects, within, from = '', to = '' }: PassageFilter): string {
  const one = (path: string, values: readonly string[]) =>
    `,where:{path:["${path}"],operator:ContainsAny,valueText:${JSON.stringify(values)}}`;
  if (projects !== null) return one('project', projects);
  if (within !== undefined)
    return one(
      'discussionId',
      within.map(({ discussionId }) => discussionId),
    );
  const bound = (operator: string, time: string) => `{path:["at"],operator:${operator},valueDate:"${time}"}`;
  if (from === '') return '';
  return `,where:{operator:And,operands:[${bound('GreaterThanEqual', from)},${bound('LessThan', to)}]}`;
}
