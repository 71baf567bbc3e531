/** Rows about what searches find, per embedder and mode. */
import { ollamaForTests } from '../../test/services.ts';
import type { Measured, Report } from './measure.ts';
import { openPlace } from './place.ts';
import { modes, type Qualities, searchQuality } from './searchQuality.ts';

/** Small, made for search, and 384 numbers. */
const OLLAMA_MODEL = 'ollama:all-minilm';

/** MRR and recall@5 of each mode; keyword search is the floor. @param server a server's URL; null for embedded. */
export async function qualityRows(server: string | null, reporting: (place: string) => Report): Promise<void> {
  await embedderRows(server, 'builtin', {}, reporting('builtin'));
  const ollama = await ollamaForTests();
  if (ollama === null) return;
  await embedderRows(server, OLLAMA_MODEL, { OLLAMA_URL: ollama.url }, reporting(OLLAMA_MODEL));
}

async function embedderRows(
  server: string | null,
  embedder: string,
  more: { OLLAMA_URL?: string },
  report: Report,
): Promise<void> {
  const place = await openPlace(server, true);
  try {
    // Not within a row's time: embedding takes minutes.
    const qualities = await searchQuality({ ...place.settings, EMBEDDER: embedder, ...more });
    for (const mode of modes) await report(`${mode} search, MRR`, () => Promise.resolve(rowOf(mode, qualities)));
  } catch (error) {
    await report('all rows', () => Promise.reject(error instanceof Error ? error : new Error(String(error))));
  } finally {
    await place.stop();
  }
}

function rowOf(mode: keyof Qualities, qualities: Qualities): Measured {
  const { mrr, recallAt5 } = qualities[mode];
  const floor = qualities.keyword;
  const holds = mrr >= floor.mrr && recallAt5 >= floor.recallAt5;
  return {
    ...{ unit: '', ours: mrr, floor: floor.mrr, ratio: mrr / floor.mrr, note: `recall@5 ${recallAt5.toFixed(3)}` },
    ...(mode === 'hybrid' ? { target: { says: 'not worse than keyword', holds } } : {}),
  };
}
