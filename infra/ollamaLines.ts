/**
 * Answers are read and checked before the `ollama` client sees them: it prints what it cannot parse to the console and
 * goes on without it, breaks on `null` and `5`, and takes lines of any length (O13).
 */
import { OllamaFault } from './ollamaFault.ts';

/** A real frame has 150 to 300 bytes; one with the whole text of a long answer still fits. */
const MAX_LINE_BYTES = 256 * 1024;
const NEWLINE = 0x0a;
/** Ollama stamps every frame with nanoseconds: two equal lines are one line sent twice, not one token said twice. */
const PRECISE_STAMP = /"created_at":"[^"]*\.\d{6,9}/;

/**
 * Each line a JSON object, ended by a newline, until the one that says `done` or `success`. Throws an `OllamaFault` at a
 * line that is no object, at an error line, and when a line or the whole is too long.
 */
export async function* checkedLines(chunks: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Uint8Array> {
  let previous = '';
  for await (const line of splitLines(chunks, maxBytes)) {
    const text = line
      .toString('utf8')
      .replace(/^\uFEFF/, '')
      .trim();
    if (text === '' || (text === previous && PRECISE_STAMP.test(text))) continue;
    previous = text;
    const frame = checkedObject(text);
    yield Buffer.from(`${JSON.stringify(frame)}\n`);
    if (frame['done'] === true || frame['status'] === 'success') return;
  }
}

/** The whole answer, as one JSON object; empty stays empty (a delete answers nothing). */
export async function* checkedDocument(chunks: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Uint8Array> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    pieces.push(chunk);
    bytes += chunk.length;
    if (bytes > maxBytes) throw tooLarge('answer');
  }
  const whole = Buffer.concat(pieces);
  if (whole.length === 0) return;
  checkedObject(whole.toString('utf8'));
  yield whole;
}

async function* splitLines(chunks: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Buffer> {
  let begun: Buffer[] = [];
  let begunBytes = 0;
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw tooLarge('answer');
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      begunBytes += at - from;
      if (begunBytes > MAX_LINE_BYTES) throw tooLarge('line');
      yield Buffer.concat([...begun, chunk.subarray(from, at)]);
      [begun, begunBytes, from] = [[], 0, at + 1];
    }
    begunBytes += chunk.length - from;
    if (begunBytes > MAX_LINE_BYTES) throw tooLarge('line');
    if (from < chunk.length) begun.push(chunk.subarray(from));
  }
  if (begun.length > 0) yield Buffer.concat(begun);
}

function checkedObject(text: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new OllamaFault('malformed', 'Ollama sent a line that is not JSON');
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new OllamaFault('malformed', 'Ollama sent a line that is not a JSON object');
  const frame = parsed as Record<string, unknown>;
  // The client takes `error: null` for an error called "null".
  if (frame['error'] === null) delete frame['error'];
  if ('error' in frame)
    throw new OllamaFault('error-line', 'Ollama reported an error', {
      said: typeof frame['error'] === 'string' ? frame['error'] : JSON.stringify(frame['error']),
    });
  return frame;
}

function tooLarge(what: string): OllamaFault {
  return new OllamaFault('too-large', `Ollama sent a ${what} that is longer than we read`);
}
