/** What `doctor` looks at where vectors stand in a store of their own. */
import type { Settings } from '../infra/config.ts';
import { systemClock } from '../infra/system.ts';
import { messageOf, type Check } from './doctor.ts';

/** Nothing where no Weaviate is set: the check of the read models tells of pgvector. */
export async function checkVectors({ WEAVIATE_URL: url, WEAVIATE_API_KEY: apiKey }: Settings): Promise<Check[]> {
  if (url === undefined) return [];
  const name = 'weaviate';
  try {
    const { weaviateHealth } = await import('../infra/weaviateHealth.ts');
    const { version, autoSchema, readOnly } = await weaviateHealth({ url, apiKey, clock: systemClock });
    if (autoSchema)
      return [{ name, status: 'fail', detail: 'it makes up classes', next: 'start it with AUTOSCHEMA_ENABLED=false' }];
    const [shard] = readOnly ?? [];
    if (shard !== undefined)
      return [
        {
          ...{ name, status: 'fail', detail: `shard ${shard.shard} of ${shard.class} takes no writes` },
          next: 'make room on its disk, then PUT {"status":"READY"} to that shard',
        },
      ];
    return [{ name, status: 'ok', detail: `version ${version}`, next: null }];
  } catch (error) {
    return [{ name, status: 'fail', detail: messageOf(error), next: 'start it, or correct WEAVIATE_URL' }];
  }
}
