/** Makes vectors of what is said, apart from all else: whatever becomes of it, discussions and other read models go on. */
import type { Slots } from '../domain/ports.ts';
import type { Log } from '../domain/telemetry.ts';
import { runEmbeddings, type EmbedRunOptions } from '../projections/vectors/embedRun.ts';

export interface EmbedderContext extends Omit<EmbedRunOptions, 'signal' | 'onFault' | 'onAudited'> {
  readonly slots: Slots;
  /** Names this process. */
  readonly holder: string;
  readonly log: Log;
}

/** One process embeds at a time: a second one would do the same work again. */
const PLACE = { name: 'embedder', limit: 1 };
const LEASE_MS = 15_000;
const RENEW_MS = 5_000;
/** How long a model or store that cannot be had is left alone. */
const RETRY_MS = 10_000;
/** The same trouble is told once in so many tries. */
const TOLD_EVERY = 30;

/** Embeds until the signal aborts; never rejects. Any number may run: one works, the others wait to take over. */
export async function runEmbedder(ctx: EmbedderContext, signal: AbortSignal): Promise<void> {
  const { slots, holder, clock } = ctx;
  const told = createTeller(ctx.log);
  while (!signal.aborted) {
    const held = await slots.take(holder, [PLACE], LEASE_MS).catch(() => false);
    if (held) await whileHeld(ctx, told, signal);
    else await clock.sleep(RENEW_MS, signal);
  }
  await slots.free([holder]).catch(() => undefined);
}

async function whileHeld(ctx: EmbedderContext, told: (error: unknown) => void, signal: AbortSignal): Promise<void> {
  const { slots, holder, clock, log } = ctx;
  const over = new AbortController();
  const until = AbortSignal.any([signal, over.signal]);
  const renewing = (async () => {
    for (let missed = 0; missed < LEASE_MS / RENEW_MS && !until.aborted;) {
      await clock.sleep(RENEW_MS, until);
      missed = (await slots.take(holder, [PLACE], LEASE_MS).catch(() => false)) ? 0 : missed + 1;
    }
    over.abort('the place was lost');
  })();
  try {
    const runner = await runEmbeddings({
      ...ctx,
      signal: until,
      onFault: told,
      onAudited: ({ version, amiss }) =>
        log.info({ version, amiss }, 'the vector store was started again: what it holds was looked at'),
    });
    await runner.finished;
  } catch (error) {
    if (!until.aborted) told(error);
    await clock.sleep(RETRY_MS, until);
  } finally {
    over.abort('over');
    await renewing;
  }
}

function createTeller(log: Log): (error: unknown) => void {
  let [last, count] = ['', 0];
  return (error) => {
    const text = error instanceof Error ? error.message : String(error);
    count = text === last ? count + 1 : 0;
    last = text;
    if (count % TOLD_EVERY === 0) log.warn({ err: error }, 'passages wait to be embedded: trying again');
  };
}
