/** A reader of server-sent events, by the rules of WHATWG HTML 9.2: `\r` ends a line too. */
import * as assert from 'uvu/assert';

export interface Frame {
  readonly event: string;
  /** Undefined when the frame had none. */
  readonly id: string | undefined;
  /** Parsed JSON. */
  readonly data: Record<string, unknown>;
}

export interface Viewer {
  readonly status: number;
  readonly headers: Headers;
  /** All frames so far. */
  readonly frames: readonly Frame[];
  /** The body of an answer that is no stream. */
  readonly text: string;
  /** Resolves with the first frame that fits, also of those that came already; rejects when the stream ends before. */
  until(fits: (frame: Frame) => boolean): Promise<Frame>;
  /** Resolves when the server has ended the stream. */
  readonly ended: Promise<void>;
  close(): void;
}

/** Opens a stream. @param headers `Authorization` and the like. */
export async function watch(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Viewer> {
  const over = new AbortController();
  const answer = await fetch(url, { headers, signal: over.signal });
  const frames: Frame[] = [];
  const waiting = new Set<() => void>();
  let done = false;
  const isStream = (answer.headers.get('content-type') ?? '').startsWith('text/event-stream');
  const text = isStream ? '' : await answer.text();
  const wake = () => {
    for (const look of [...waiting]) look();
  };
  let closed = (): void => undefined;
  // Seen: a body aborted between its last chunk and its end is never read to its end.
  const left = new Promise<void>((resolve) => (closed = resolve));
  const reading = isStream && answer.body ? readFrames(answer.body, frames, wake) : Promise.resolve();
  const ended = Promise.race([reading, left]).then(() => {
    done = true;
    wake();
  });
  return {
    status: answer.status,
    headers: answer.headers,
    frames,
    text,
    ended,
    until: (fits) =>
      new Promise((resolve, reject) => {
        let looked = 0;
        const look = () => {
          for (; looked < frames.length; looked += 1) {
            const frame = frames[looked];
            if (frame === undefined || !fits(frame)) continue;
            waiting.delete(look);
            return resolve(frame);
          }
          if (!done) return;
          waiting.delete(look);
          reject(new Error(`the stream ended after ${frames.map(({ event }) => event).join(', ')}`));
        };
        waiting.add(look);
        look();
      }),
    close: () => {
      over.abort();
      closed();
    },
  };
}

async function readFrames(body: ReadableStream<Uint8Array>, frames: Frame[], wake: () => void): Promise<void> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest = '';
  try {
    for await (const chunk of body) {
      rest += decoder.decode(chunk, { stream: true });
      const blocks = rest.split(/\r\n\r\n|\n\n|\r\r/);
      rest = blocks.pop() ?? '';
      for (const block of blocks) {
        const frame = frameOf(block);
        if (frame !== null) frames.push(frame);
      }
      wake();
    }
  } catch (error) {
    // Closed by the reader, or cut by the server: what was complete counts.
    if (!(error instanceof Error) || !/abort|terminated/.test(`${error.name} ${error.message}`)) throw error;
  }
}

function frameOf(block: string): Frame | null {
  let event = 'message';
  let id: string | undefined;
  const data: string[] = [];
  for (const line of block.split(/\r\n|\n|\r/)) {
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') event = value;
    else if (field === 'id') id = value;
    else if (field === 'data') data.push(value);
    else if (field !== '' && field !== 'retry') throw new Error(`a line that is no field: ${line}`);
  }
  if (data.length === 0) return null;
  return { event, id, data: JSON.parse(data.join('\n')) as Record<string, unknown> };
}

/** Frames of committed events. */
export function durable(frames: readonly Frame[]): Frame[] {
  return frames.filter(({ id }) => id !== undefined);
}

/** Committed events, as the log shows them. */
export function dataOf(frames: readonly Frame[]): Record<string, unknown>[] {
  return durable(frames).map(({ data }) => data);
}

/** What deltas must be: each attempt's text in order from its start, nothing after the turn's end. */
export function checkDeltas(frames: readonly Frame[]): void {
  const ended = new Set<unknown>();
  const texts = new Map<string, string>();
  for (const { event, id, data } of frames) {
    if (/^Turn(Completed|Failed|Skipped|Cancelled)$/.test(event)) {
      const { turnId, content } = data['data'] as { turnId: string; content?: { text: string }[] };
      ended.add(turnId);
      const shown = texts.get(`${turnId} 1`);
      if (content && shown !== undefined) assert.ok(content[0]?.text.startsWith(shown.trim()), 'deltas are the answer');
    }
    if (event !== 'delta') continue;
    assert.is(id, undefined, 'a delta carries no id');
    const { turnId, attempt, offset, text } = data as { turnId: string; attempt: number; offset: number; text: string };
    assert.not(ended.has(turnId), 'no delta after the end of its turn');
    const key = `${turnId} ${attempt}`;
    const before = texts.get(key) ?? '';
    // A connection's first delta of a turn begins at 0.
    assert.ok(offset === before.length || offset === 0, `offset ${offset} after ${before.length}`);
    texts.set(key, before.slice(0, offset) + text);
  }
}
