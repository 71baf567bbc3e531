/** Keys, roles and settings of a real Weaviate (W10, W21), on a server of our own that makes classes up and checks keys. */
import { randomUUID } from 'node:crypto';
import * as assert from 'uvu/assert';
import { Refusal } from '../../domain/refusal.ts';
import { createWeaviate } from '../../infra/weaviate.ts';
import { weaviateHealth } from '../../infra/weaviateHealth.ts';
import { EVERYTHING, SPEC } from '../contracts/samplePassages.ts';
import { suite } from '../harness.ts';
import { NO_WEAVIATE, weaviateProgramForTests } from '../services.ts';
import { wallClock } from '../standins/wallClock.ts';
import { startWeaviateServer, type WeaviateServer } from '../weaviateServer.ts';

const SECURED = {
  AUTOSCHEMA_ENABLED: 'true',
  AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED: 'false',
  AUTHENTICATION_APIKEY_ENABLED: 'true',
  AUTHENTICATION_APIKEY_ALLOWED_KEYS: 'root-key,reader-key',
  AUTHENTICATION_APIKEY_USERS: 'root,reader',
  AUTHORIZATION_RBAC_ENABLED: 'true',
  AUTHORIZATION_RBAC_ROOT_USERS: 'root',
};

const program = weaviateProgramForTests();
if (program === null) console.log(`left out: keys and settings of Weaviate: ${NO_WEAVIATE}`);
else keys(program);

function keys(found: { path: string; origin: string }): void {
  const test = suite('keys of Weaviate');
  let server: WeaviateServer;
  test.before(async () => {
    server = await startWeaviateServer(found, SECURED);
  });
  test.after(() => server.stop());

  const open = (apiKey?: string) => {
    return createWeaviate({ url: server.url, apiKey, lineage: randomUUID(), clock: wallClock });
  };
  const refusal = async (work: Promise<unknown>): Promise<string> => {
    const error = await work.then(
      () => null,
      (reason: unknown) => reason,
    );
    assert.instance(error, Refusal);
    if (!(error instanceof Refusal)) return '';
    assert.equal([error.code, error.retryable], ['unavailable', false]);
    assert.not.match(String(error.stack), /root-key|reader-key|nope-key/);
    return error.message;
  };
  const { signal } = new AbortController();
  const wanted = { vector: new Array<number>(SPEC.dimensions).fill(0.1), filter: EVERYTHING, limit: 1 };

  test('W21: no key, a wrong one, and a role without rights are told apart, and no key is shown', async () => {
    for (const key of [undefined, 'nope-key'])
      assert.match(await refusal(open(key).check()), /refuses the key: correct WEAVIATE_API_KEY/);
    assert.match(
      await refusal(open('reader-key').check()),
      /WEAVIATE_API_KEY lacks \w+_data: it needs read_collections/,
    );
    assert.match(await refusal(open('reader-key').describe(1)), /lacks read_collections/);
    assert.match(await refusal(open('reader-key').drop(1)), /lacks delete_collections/);
    assert.match(await refusal(open('reader-key').search(1, wanted, { signal })), /lacks read_collections/);
  });

  test('W10: where classes would be made up nothing is written, and none is made by looking', async () => {
    const index = open('root-key');
    for (const work of [() => index.check(), () => index.create(1, SPEC), () => index.put(1, [])])
      assert.match(await refusal(work()), /AUTOSCHEMA_ENABLED=false/);
    const health = await weaviateHealth({ url: server.url, apiKey: 'root-key', clock: wallClock });
    assert.equal([health.autoSchema, health.readOnly], [true, []]);
    const answer = await fetch(`${server.url}/v1/schema`, { headers: { authorization: 'Bearer root-key' } });
    assert.equal(await answer.json(), { classes: [] });
  });

  test.run();
}
