/** Searches find what answers a question, and both ways together find no less than words alone. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { readSettings } from '../../infra/config.ts';
import { type Qualities, searchQuality } from '../../scripts/bench/searchQuality.ts';
import { suite } from '../harness.ts';
import { ollamaForTests } from '../services.ts';

const test = suite('search quality');
const LONG = { deadlineMs: 115_000 };

/**
 * Those with the least code in them; `npm run bench -- --search-quality` takes all. A model in the processor embeds a few
 * passages a second.
 */
const DOCUMENTS = ['apache-2.0', 'jsonwebtoken', 'lru-cache'];

/** On the embedded database. */
async function measured(more: Readonly<Record<string, string>>): Promise<Qualities> {
  const folder = await mkdtemp(join(tmpdir(), 'colloquy-quality-'));
  try {
    return await searchQuality(readSettings({ COLLOQUY_DATA: folder, PORT: '0', ...more }, {}), DOCUMENTS);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Thresholds are some way below what was measured: they are for searches that are broken. */
function assertGood({ keyword, semantic, hybrid }: Qualities, least: { keyword: number; semantic: number }): void {
  const said = JSON.stringify({ keyword, semantic, hybrid }, null, 1);
  assert.ok(keyword.recallAt5 >= least.keyword, `keyword search finds too little: ${said}`);
  assert.ok(semantic.recallAt5 >= least.semantic, `semantic search finds too little: ${said}`);
  assert.ok(hybrid.recallAt5 >= keyword.recallAt5, `hybrid search finds less than keyword search: ${said}`);
  assert.ok(hybrid.mrr >= keyword.mrr - 0.02, `hybrid search ranks worse than keyword search: ${said}`);
}

test(
  'the built-in model beside words',
  async () => {
    assertGood(await measured({ EMBEDDER: 'builtin' }), { keyword: 0.5, semantic: 0.4 });
  },
  LONG,
);

const ollama = await ollamaForTests();
if (ollama === null) console.log('left out: the quality of a model of Ollama: TEST_OLLAMA_URL names none');
else
  test(
    'a model of Ollama beside words',
    async () => {
      const qualities = await measured({ EMBEDDER: 'ollama:all-minilm', OLLAMA_URL: ollama.url });
      assertGood(qualities, { keyword: 0.5, semantic: 0.5 });
    },
    LONG,
  );

test.run();
