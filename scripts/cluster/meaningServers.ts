/** Weaviate and Ollama under a cluster, where their programs are on PATH. Without them vectors stand in PostgreSQL. */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { freePort } from '../../test/postgresServer.ts';
import { environmentWith } from '../../test/services.ts';
import { findWeaviateProgram, prepareWeaviate, weaviateIsReady } from '../../test/weaviateServer.ts';
import type { OptionalPlan } from './servers.ts';

const LOOK_MS = 1_000;
/** Nothing listens there. */
export const NOWHERE = 'http://127.0.0.1:9';

/** A Weaviate of one node; pgvector where there is no program. */
export async function weaviatePlan(home: string, searchPath: string): Promise<OptionalPlan> {
  const program = findWeaviateProgram(searchPath);
  if (program === null) return { url: '', origin: 'pgvector (no weaviate-server on PATH)', plan: null };
  const { url, args, env } = await prepareWeaviate(join(home, 'weaviate'));
  return {
    url,
    origin: program.origin,
    plan: {
      ...{ name: 'weaviate', program: program.path, args: [...args], cwd: home, env },
      logFile: join(home, 'logs', 'weaviate.log'),
      ready: () => weaviateIsReady(url),
      // A killed one loses vectors; a stopped one does not.
      stopSignal: 'SIGTERM',
    },
  };
}

/** The server of TEST_OLLAMA_URL, else one with the models of this user. */
export async function ollamaPlan(
  home: string,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<OptionalPlan> {
  const given = environment['TEST_OLLAMA_URL'];
  if (given !== undefined) return { url: given, origin: 'the server of TEST_OLLAMA_URL', plan: null };
  const folder = (environment['PATH'] ?? '').split(delimiter).find((each) => existsSync(join(each, 'ollama')));
  if (folder === undefined) return { url: NOWHERE, origin: 'none (no ollama on PATH)', plan: null };
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    origin: 'ollama on PATH, with the models of this user',
    plan: {
      ...{ name: 'ollama', program: join(folder, 'ollama'), args: ['serve'], cwd: home },
      env: environmentWith({ OLLAMA_HOST: `127.0.0.1:${port}` }),
      logFile: join(home, 'logs', 'ollama.log'),
      ready: async () => (await fetch(`${url}/api/version`, { signal: AbortSignal.timeout(LOOK_MS) })).ok,
      stopSignal: 'SIGTERM',
    },
  };
}
