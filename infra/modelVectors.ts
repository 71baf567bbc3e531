/** What all embedders do alike: one batch after the other, answers that are checked, failures that become refusals. */
import type { Embedder, EmbeddingModel, Vector } from '../domain/meaning/embedder.ts';
import { Refusal } from '../domain/refusal.ts';

/** One provider's model. */
export interface VectorSource {
  /** For messages: who is asked, without an address. */
  readonly label: string;
  /** Texts that go to the model at once. */
  readonly batch: number;
  /** Dimensions are null where only a vector tells them. */
  describe(signal: AbortSignal): Promise<Omit<EmbeddingModel, 'dimensions'> & { readonly dimensions: number | null }>;
  /** The model's answer to these texts, a row for each, not checked yet. Settles when the model works on them no more. */
  ask(texts: readonly string[], signal: AbortSignal): Promise<unknown>;
  /** Whether that failed because of what one of the texts is, so that asking again cannot help. */
  blamesText(error: unknown): boolean;
  /** Any other failure; `invalid` for a model that cannot embed. */
  refusalOf(error: unknown): Refusal;
  close(): Promise<void>;
}

const MAX_TEXT_CHARACTERS = 1_000_000;
const MAX_WAITING = 256;
const PROBE = 'how many dimensions';

/** The `Embedder` of a source. Calls take turns at it batch by batch, so that a short one waits for no long one's end. */
export function createEmbedder(source: VectorSource): Embedder {
  const { label, batch } = source;
  const closed = new AbortController();
  const enter = createGate(label);
  let known: EmbeddingModel | null = null;
  const vectorsOf = async (texts: readonly string[], dimensions: number | null, signal: AbortSignal) => {
    const leave = await enter(signal);
    // Whoever gives up leaves at once; the next one's turn comes when the model has stopped.
    const work = source.ask(texts, signal).finally(leave);
    return checkedVectors(label, await unlessAborted(work, signal), texts.length, dimensions);
  };
  const described = async (signal: AbortSignal): Promise<EmbeddingModel> => {
    if (known) return known;
    const model = await source.describe(signal);
    const dimensions = model.dimensions ?? (await vectorsOf([PROBE], null, signal))[0]?.length ?? 0;
    return (known ??= { ...model, dimensions });
  };
  const during = async <T>(
    what: 'describe' | 'embed',
    signal: AbortSignal,
    work: (both: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    signal.throwIfAborted();
    try {
      return await work(AbortSignal.any([signal, closed.signal]));
    } catch (error) {
      signal.throwIfAborted();
      if (closed.signal.aborted) throw new Refusal('unavailable', 'the embedder was closed', { retryable: false });
      throw refusalFor(source, what, error);
    }
  };
  return {
    describe: ({ signal }) => during('describe', signal, described),
    embed: (texts, { signal }) =>
      during('embed', signal, async (both) => {
        checkTexts(texts);
        if (texts.length === 0) return [];
        const { dimensions } = await described(both);
        const vectors: Vector[] = [];
        for (let at = 0; at < texts.length; at += batch)
          vectors.push(...(await vectorsOf(texts.slice(at, at + batch), dimensions, both)));
        return vectors;
      }),
    async close() {
      closed.abort();
      await source.close();
    },
  };
}

/** While texts are embedded `invalid` must mean the texts: they are given up for it. */
function refusalFor(source: VectorSource, what: 'describe' | 'embed', error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (source.blamesText(error))
    return new Refusal('invalid', `${source.label} cannot embed a text: it is too long, or the model fails on it`);
  const refusal = source.refusalOf(error);
  if (what === 'describe' && refusal.code === 'invalid') return refusal;
  const { message, retryAfterMs } = refusal;
  return new Refusal('unavailable', message, retryAfterMs === undefined ? {} : { retryAfterMs });
}

function checkTexts(texts: readonly string[]): void {
  if (texts.some((text) => text.trim() === '')) throw new Refusal('invalid', 'an empty text cannot be embedded');
  if (texts.some((text) => text.length > MAX_TEXT_CHARACTERS))
    throw new Refusal('invalid', `a text of more than ${MAX_TEXT_CHARACTERS} characters cannot be embedded`);
}

/**
 * The rows of an answer at length 1.
 * @param dimensions null when they are not known yet: then the first row tells them.
 * @throws Refusal `unavailable` for an answer that is none, `invalid` for a text whose vector has no direction.
 */
export function checkedVectors(label: string, answer: unknown, count: number, dimensions: number | null): Vector[] {
  if (!Array.isArray(answer) || answer.length !== count)
    throw unusable(label, `answered ${count} texts with another number of vectors`);
  const rows: unknown[] = answer;
  const vectors = rows.map((row) => {
    if (!isFinite(row)) throw unusable(label, 'answered with something else than finite numbers');
    return row;
  });
  const size = dimensions ?? vectors[0]?.length ?? 0;
  if (vectors.some((row) => row.length !== size || size === 0))
    throw unusable(label, `answered with vectors of other dimensions than ${size}`);
  return vectors.map((row) => {
    const length = Math.hypot(...row);
    if (length === 0) throw new Refusal('invalid', `${label} has no vector for a text`);
    return row.map((number) => number / length);
  });
}

function isFinite(row: unknown): row is number[] {
  return Array.isArray(row) && row.every(Number.isFinite);
}

function unusable(label: string, what: string): Refusal {
  return new Refusal('unavailable', `${label} ${what}: check that the model can embed`);
}

/** One at a time, in order of arrival. The gate gives what is to be called to leave; it rejects with the signal's reason. */
function createGate(label: string): (signal: AbortSignal) => Promise<() => void> {
  const waiting: (() => void)[] = [];
  let taken = false;
  const leave = (): void => {
    const next = waiting.shift();
    if (next) next();
    else taken = false;
  };
  return async (signal) => {
    signal.throwIfAborted();
    if (taken) {
      if (waiting.length >= MAX_WAITING)
        throw new Refusal('unavailable', `too many texts wait for ${label} already`, { retryAfterMs: 5_000 });
      await new Promise<void>((resolve, reject) => {
        const turn = (): void => {
          signal.removeEventListener('abort', giveUp);
          resolve();
        };
        const giveUp = (): void => {
          waiting.splice(waiting.indexOf(turn), 1);
          reject(signal.reason as Error);
        };
        signal.addEventListener('abort', giveUp, { once: true });
        waiting.push(turn);
      });
    }
    taken = true;
    return leave;
  };
}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    const giveUp = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', giveUp, { once: true });
    void work.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp));
  });
}
