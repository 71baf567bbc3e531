/** How well searches find the passages that answer a set of questions, through the whole engine. */
import { readFile } from 'node:fs/promises';
import { v5 } from 'uuid';
import { z } from 'zod';
import { openDiscussion, openDiscussionSchema } from '../../commands/openDiscussion.ts';
import type { PassageHit } from '../../domain/meaning/vectorIndex.ts';
import { createLogger } from '../../infra/logging.ts';
import type { Settings } from '../../infra/config.ts';
import { createPrometheus } from '../../infra/prometheus.ts';
import { passageIdOf } from '../../projections/passages.ts';
import { chunksOf } from '../../domain/meaning/chunker.ts';
import { startEngine, type RunningEngine } from '../engine.ts';
import { askedBy } from './discussions.ts';

export const modes = ['keyword', 'semantic', 'hybrid'] as const;
type Mode = (typeof modes)[number];

/** Means over all questions. */
export interface Quality {
  /** Part of the questions whose passage is among the first five hits. */
  readonly recallAt5: number;
  /** Of 1 / the place of the passage among the first ten hits; 0 where it is not among them. */
  readonly mrr: number;
  /** Questions whose passage is not among the first five. */
  readonly missed: readonly string[];
}

export type Qualities = Readonly<Record<Mode, Quality>>;

const NAMESPACE = '0d4c7a52-6f0e-4b8e-9c43-5b1f8d2e7a60';
const FOLDER = new URL('../../', import.meta.url);
/** A small machine embeds a text in most of a second. */
const INDEX_MS = 900_000;
const SEARCH_MS = 30_000;
const LIMIT = 10;

const questionsSchema = z.object({
  documents: z.record(z.string(), z.string()),
  questions: z.array(z.object({ document: z.string(), question: z.string(), phrase: z.string() })).min(40),
});

/**
 * Opens a discussion for each document, waits until all are indexed, and asks every question in every mode.
 * @param only the documents to take, with their questions; all unless given.
 * @throws Error for a question whose phrase is not in its document, or is there twice.
 */
export async function searchQuality(settings: Settings, only?: readonly string[]): Promise<Qualities> {
  const all = questionsSchema.parse(JSON.parse(await textOf('test/vectors/searchQuestions.json')));
  const taken = (name: string) => only === undefined || only.includes(name);
  const documents = Object.entries(all.documents).filter(([name]) => taken(name));
  const questions = all.questions.filter(({ document }) => taken(document));
  const roles = new Set(['projector', 'embedder'] as const);
  const running = await startEngine(settings, createLogger('error'), createPrometheus(), { roles });
  try {
    const indexed = new Map<string, Indexed>();
    for (const [name, path] of documents) indexed.set(name, await opened(running, name, await textOf(path)));
    const position = await running.engine.store.head();
    const timing = { timeoutMs: INDEX_MS, signal: new AbortController().signal };
    if (!(await running.reads.waitFor(position, ['passages', 'embeddings'], timing)))
      throw new Error(`the documents were not indexed within ${INDEX_MS / 1000} s`);
    const asked = questions.map(({ document, question, phrase }) => {
      const found = indexed.get(document);
      if (found === undefined) throw new Error(`there is no document ${document}`);
      return { question, answers: passagesWith(found, phrase) };
    });
    const qualities = modes.map(async (mode) => [mode, await qualityOf(running, mode, asked)] as const);
    const entries = await Promise.all(qualities);
    return Object.fromEntries(entries) as Qualities;
  } finally {
    await running.workers.stop();
    await running.stop();
  }
}

interface Indexed {
  readonly eventId: string;
  readonly text: string;
}

async function textOf(path: string): Promise<string> {
  return await readFile(new URL(path, FOLDER), 'utf8');
}

async function opened({ engine }: RunningEngine, title: string, text: string): Promise<Indexed> {
  const body = openDiscussionSchema.parse({ title, topic: title, context: { text }, autostart: false });
  // The same ids in every run: what counts the same is ordered by them.
  const { id } = await openDiscussion(engine, body, { ...askedBy(engine), commandId: v5(title, NAMESPACE) });
  for await (const event of engine.store.read(`discussion-${id}`, { limit: 1 })) return { eventId: event.id, text };
  throw new Error(`the discussion about ${title} has no events`);
}

/** Ids of the passages that hold the phrase, however its lines are broken. @throws Error for a question that nothing answers. */
function passagesWith({ eventId, text }: Indexed, phrase: string): ReadonlySet<string> {
  const chunks = chunksOf(text).map(({ starts, ends }) => oneLine(text.slice(starts, ends)));
  const ids = chunks.flatMap((chunk, i) => (chunk.includes(oneLine(phrase)) ? [passageIdOf(eventId, i)] : []));
  if (ids.length === 0) throw new Error(`no passage holds “${phrase}”: the text has changed, choose another phrase`);
  if (oneLine(text).split(oneLine(phrase)).length > 2) throw new Error(`“${phrase}” stands more than once in its text`);
  return new Set(ids);
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ');
}

async function qualityOf(
  { reads }: RunningEngine,
  mode: Mode,
  asked: readonly { readonly question: string; readonly answers: ReadonlySet<string> }[],
): Promise<Quality> {
  let reciprocals = 0;
  const missed: string[] = [];
  for (const { question, answers } of asked) {
    const wanted = { query: question, filter: { projects: ['default'] }, limit: LIMIT };
    const { hits } = await reads.search[mode](wanted, { signal: AbortSignal.timeout(SEARCH_MS) });
    const place = placeOf(hits, answers);
    if (place !== null) reciprocals += 1 / place;
    if (place === null || place > 5) missed.push(question);
  }
  return { recallAt5: 1 - missed.length / asked.length, mrr: reciprocals / asked.length, missed };
}

/** From 1; null when none is among the hits. */
function placeOf(hits: readonly PassageHit[], answers: ReadonlySet<string>): number | null {
  const place = hits.findIndex(({ passage }) => answers.has(passage.passageId));
  return place < 0 ? null : place + 1;
}
