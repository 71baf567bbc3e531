/** Somebody who uses the cluster through its APIs, whichever of them answers, and remembers what was acknowledged. */
import { setTimeout as delay } from 'node:timers/promises';
import { createRemote, RemoteProblem, type Frame, type Remote } from '../../scripts/remote.ts';

const GIVES_UP_MS = 60_000;
const PAUSE_MS = 100;

export interface Visitor {
  /** Tries one API after the other until one answers; a write is repeated with the same Idempotency-Key. */
  call<T>(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<T>;
  /** Reads a discussion's stream to its end, over as many connections as it takes. */
  watch(discussionId: string, firstApi: number, signal: AbortSignal): Promise<Seen>;
  /** The next event of the project that fits, from now on. */
  next(fits: (event: Told) => boolean, signal: AbortSignal): Promise<Told>;
}

/** An event of the project's stream. */
export interface Told {
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface Seen {
  /** Durable frames in the order in which they came. */
  readonly frames: readonly Frame[];
  readonly deltas: number;
  readonly connections: number;
}

let keys = 0;

/** @param apis addresses; the first one asked changes with every call, as behind a balancer. */
export function createVisitor(apis: readonly string[], token: string): Visitor {
  const remotes = apis.map((url) => createRemote(url, token));
  let turn = 0;
  const pick = (offset = 0) => {
    const remote = remotes[(turn + offset) % remotes.length];
    if (remote === undefined) throw new Error('there is no API');
    return remote;
  };
  return {
    async call<T>(
      method: string,
      path: string,
      body?: unknown,
      headers: Readonly<Record<string, string>> = {},
    ): Promise<T> {
      const key = method === 'GET' ? {} : { 'idempotency-key': `visitor-${process.pid}-${(keys += 1)}` };
      for (const start = performance.now(); ; await delay(PAUSE_MS)) {
        turn += 1;
        try {
          const options = { headers: { ...key, ...headers }, ...(body === undefined ? {} : { body }) };
          return await pick().call<T>(method, path, options);
        } catch (error) {
          const again = !(error instanceof RemoteProblem) || error.retryable;
          if (!again || performance.now() - start > GIVES_UP_MS) throw error;
        }
      }
    },
    async next(fits, signal) {
      for (; ; await delay(PAUSE_MS)) {
        turn += 1;
        try {
          for await (const { id, data } of pick().stream('/stream', { signal }))
            if (id !== undefined && fits(data as Told)) return data as Told;
        } catch (error) {
          if (signal.aborted) throw error;
        }
      }
    },
    watch: (discussionId, firstApi, signal) => watchToEnd((i) => pick(firstApi + i), discussionId, signal),
  };
}

async function watchToEnd(api: (i: number) => Remote, discussionId: string, signal: AbortSignal): Promise<Seen> {
  const frames: Frame[] = [];
  let deltas = 0;
  for (let connections = 1; ; connections += 1) {
    try {
      const last = frames.at(-1)?.id;
      const options = { signal, ...(last === undefined ? {} : { lastEventId: last }) };
      for await (const frame of api(connections).stream(`/discussions/${discussionId}/stream`, options)) {
        if (frame.event === 'delta') deltas += 1;
        if (frame.id !== undefined) frames.push(frame);
        if (frame.event === 'end') return { frames, deltas, connections };
      }
    } catch (error) {
      if (signal.aborted) throw error;
    }
    await delay(PAUSE_MS);
  }
}
