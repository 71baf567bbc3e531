/** Weaviate as a VectorIndex: the server that TEST_WEAVIATE_URL names, else one that is started here. */
import { randomUUID } from 'node:crypto';
import { createWeaviate } from '../../infra/weaviate.ts';
import { vectorIndexContract } from '../contracts/vectorIndex.ts';
import { NO_WEAVIATE, weaviateForTests } from '../services.ts';
import { wallClock } from '../standins/wallClock.ts';

const server = await weaviateForTests();
if (server === null) console.log(`left out: the VectorIndex contract on Weaviate: ${NO_WEAVIATE}`);
else
  vectorIndexContract(server.description, async () => {
    const lineage = randomUUID();
    const open = () => createWeaviate({ url: server.url, lineage, clock: wallClock });
    const opened = [open()];
    return Promise.resolve({
      index: opened[0] ?? open(),
      another() {
        const other = open();
        opened.push(other);
        return Promise.resolve(other);
      },
      async stop() {
        await Promise.all(opened.map((index) => index.close()));
        await server.stop();
      },
    });
  });
