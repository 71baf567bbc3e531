/**
 * Server-sent events are bounded and checked before an SDK sees them: it takes lines of any length, passes over lines that
 * are none of the protocol, and prints what it cannot parse.
 */
import { invalidAnswer } from './modelFailures.ts';

/** A real event has some hundred bytes; one with the whole text of a long answer still fits. */
const MAX_LINE_BYTES = 512 * 1024;
const NEWLINE = 0x0a;
/** WHATWG HTML §9.2.6: a comment, or one of the four fields. */
const LINE = /^(?:|:.*|(?:event|data|id|retry)(?::.*)?)$/s;
const DONE = /^data: ?\[DONE\]/;

/**
 * The lines of a stream, to the one that says `[DONE]`: servers may keep the connection open after it. Throws a
 * `ModelFailure` at what is no such line, and when a line or the whole is too long.
 */
export async function* checkedEvents(
  label: string,
  chunks: AsyncIterable<Buffer>,
  maxBytes: number,
): AsyncGenerator<Uint8Array> {
  for await (const bytes of splitLines(label, chunks, maxBytes)) {
    const line = bytes
      .toString('utf8')
      .replace(/^\uFEFF/, '')
      .replace(/\r$/, '');
    if (!LINE.test(line)) throw invalidAnswer(label, 'sent a line that belongs to no event');
    yield Buffer.from(`${line}\n`);
    if (!DONE.test(line)) continue;
    yield Buffer.from('\n');
    return;
  }
}

/** The fields of a part of an event; none when it is no object. */
export function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** The whole of a short answer, as text; null when it is longer than `maxBytes`. */
export async function wholeText(chunks: AsyncIterable<Buffer>, maxBytes: number): Promise<string | null> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    pieces.push(chunk);
    bytes += chunk.length;
    if (bytes > maxBytes) return null;
  }
  return Buffer.concat(pieces).toString('utf8');
}

async function* splitLines(label: string, chunks: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Buffer> {
  let begun: Buffer[] = [];
  let begunBytes = 0;
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw invalidAnswer(label, 'sent an answer that is longer than we read');
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      begunBytes += at - from;
      if (begunBytes > MAX_LINE_BYTES) throw invalidAnswer(label, 'sent a line that is longer than we read');
      yield Buffer.concat([...begun, chunk.subarray(from, at)]);
      [begun, begunBytes, from] = [[], 0, at + 1];
    }
    begunBytes += chunk.length - from;
    if (begunBytes > MAX_LINE_BYTES) throw invalidAnswer(label, 'sent a line that is longer than we read');
    if (from < chunk.length) begun.push(chunk.subarray(from));
  }
  if (begun.length > 0) yield Buffer.concat(begun);
}
