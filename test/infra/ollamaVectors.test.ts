/** What a real Ollama 0.17.4 was recorded to answer, through the adapter: each case that concerns what we send. */
import * as assert from 'uvu/assert';
import type { ModelEvent } from '../../domain/model.ts';
import { ModelFailure } from '../../domain/model.ts';
import { Refusal } from '../../domain/refusal.ts';
import { createOllamaLibrary } from '../../infra/ollamaLibrary.ts';
import { ask } from '../contracts/languageModelCalls.ts';
import { suite } from '../harness.ts';
import type { OtherAnswer } from '../standins/ollama.ts';
import { ollamaFixture } from '../standins/ollamaFixture.ts';
import { type RecordedCase, recordedAnswer, recordedCases } from '../standins/ollamaRecordings.ts';
import { wallClock } from '../standins/wallClock.ts';

const test = suite('Ollama vectors');
const own = ollamaFixture(test);
const leftOut = new Map<string, string[]>();

function leaveOut(reason: string, name: string): void {
  leftOut.set(reason, [...(leftOut.get(reason) ?? []), name]);
}

/** What the adapter makes of an answer to a chat, in one line: `text|reason|input/output`, or `!reason …`. */
async function outcome(answer: OtherAnswer): Promise<string> {
  await own.model.warmUp('smollm2', { signal: new AbortController().signal });
  own.standin.answerNext('/api/chat', answer);
  const events: ModelEvent[] = [];
  try {
    for await (const event of ask(own.subject, {})) events.push(event);
  } catch (error) {
    if (!(error instanceof ModelFailure)) throw error;
    const marks = [error.retryable && 'retry', error.promptTooLong && 'too long', error.usage?.source].filter(Boolean);
    return `!${error.reason} ${marks.join(' ')}`.trim();
  }
  const last = events.at(-1);
  if (last?.type !== 'done') throw new Error('no done event');
  const text = events.map((event) => (event.type === 'text' ? event.text : '')).join('');
  const { inputTokens, outputTokens, source } = last.usage;
  return `${text}|${last.finishReason}|${source === 'reported' ? `${inputTokens}/${outputTokens}` : source}`;
}

const text = 'text';
/** By name where the general rule (a status is an error that no other attempt can help) does not say. */
const WIRE: Readonly<Record<string, string>> = {
  'chat: streamed': `${text.repeat(4)}|max_tokens|12/4`,
  'chat: streamed until the model stops': `${text}|end_turn|12/1`,
  'chat: stream null': `${text.repeat(4)}|max_tokens|12/4`,
  'chat: empty messages load the model': '!invalid_output retry estimated',
  'chat: empty messages and keep_alive 0 unload it': '!invalid_output retry estimated',
  'chat: no messages field at all': '!invalid_output retry estimated',
  'options: num_predict 1': `${text}|max_tokens|12/1`,
  'stop: the phrase is not in the text': '!invalid_output retry reported',
  'format: ""': `${text.repeat(4)}|max_tokens|12/4`,
  'format: null': `${text.repeat(4)}|max_tokens|12/4`,
  'images: a text model': `${text.repeat(4)}|max_tokens|18/4`,
  'context: the same, truncate false, streamed': '!error retry too long',
  'context: truncate false': '!error retry too long',
  'context: the same, truncate false': '!error retry too long',
  'usage: we close after 3 reads (no usage ever comes)': '!invalid_output retry estimated',
};

function wireCase(one: RecordedCase): void {
  const { name, sent } = one;
  const path = sent['path'];
  // Replayed in ollamaEmbedder.test.ts.
  if (path === '/api/embed') return;
  if (path !== '/api/chat') return leaveOut('another path (lists, show, pull and delete are replayed below)', name);
  const answer = recordedAnswer(name);
  if (answer === null || answer.status === undefined) return leaveOut('no single answer was recorded', name);
  const rendered = JSON.stringify(sent['body'] ?? '').includes('_debug_render_only');
  if (sent['method'] === 'GET' || rendered) return leaveOut('never sent by us', name);
  if (answer.status < 400 && !(name in WIRE))
    return leaveOut('not streamed, or another spelling of a case that is replayed', name);
  test(`wire: ${name}`, async () => {
    const given = await outcome(answer);
    assert.is(given, WIRE[name] ?? '!error');
  });
}

/** Rows of servers that misbehave: where the client and we differ, we are the stricter. */
const CLIENT: Readonly<Record<string, string>> = {
  'parser: well formed': 'a|end_turn|3/1',
  'parser: a garbage line in the middle': '!invalid_output retry estimated',
  'parser: an empty line': 'a|end_turn|3/1',
  'parser: CRLF': 'a|end_turn|3/1',
  'parser: no newline after the last frame': 'a|end_turn|3/1',
  'parser: half a line, then the end': '!invalid_output retry estimated',
  'parser: no done frame': '!invalid_output retry estimated',
  'parser: an empty body': '!invalid_output retry estimated',
  'parser: frames after done': '!invalid_output retry reported',
  'parser: two done frames': '!invalid_output retry reported',
  'parser: an error line': '!error retry estimated',
  'parser: an error line that is an object': '!error retry estimated',
  'parser: an error line first': '!error retry estimated',
  'parser: a line that is a number': '!invalid_output retry estimated',
  'parser: a line that is null': '!invalid_output retry estimated',
  'parser: a frame without message': '!invalid_output retry reported',
  'parser: a frame with error null': 'a|end_turn|3/1',
  'parser: status "success" without done': '!invalid_output retry estimated',
  'parser: a byte order mark': 'a|end_turn|3/1',
  'answer: 500, JSON': '!error retry',
  'answer: 500, JSON, error an object (OpenAI shape)': '!error retry',
  'answer: 500, says JSON and is not': '!error retry',
  'answer: 502, HTML': '!error retry',
  'answer: 503, empty': '!error retry',
  'answer: 429 with retry-after': '!error retry',
  'answer: 401': '!error',
  'answer: 200, HTML': '!invalid_output retry estimated',
  'answer: 200, one JSON object with an error': '!error retry estimated',
  'answer: 204': '!invalid_output retry estimated',
};

function clientCase({ name, sent }: RecordedCase): void {
  const expected = CLIENT[name];
  if (expected === undefined)
    return leaveOut('a call of the client that is not ours, or one of the traps’ tests', name);
  const { stream, status, headers, body } = sent as {
    stream?: string[];
    status?: number;
    headers?: Record<string, string>;
    body?: string;
  };
  test(`client: ${name}`, async () => {
    assert.is(
      await outcome({
        status: status ?? 200,
        raw: stream ?? (body === undefined ? [] : [body]),
        headers: headers ?? {},
      }),
      expected,
    );
  });
}

const cases = [...recordedCases('ollama'), ...recordedCases('ollama-client')];
recordedCases('ollama').forEach(wireCase);
recordedCases('ollama-client').forEach(clientCase);

test('client: parser: a character split over two chunks', async () => {
  const line = Buffer.from(
    '{"message":{"content":"🐢"},"done":false}\n{"message":{"content":""},"done":true,"done_reason":"stop"}\n',
  );
  const at = line.indexOf(0xf0) + 2;
  const raw = [line.subarray(0, at), line.subarray(at)];
  assert.is(await outcome({ status: 200, raw }), '🐢|end_turn|estimated');
});

const library = () => createOllamaLibrary({ baseUrl: own.standin.url, clock: wallClock });
const code = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    (error: unknown) => (error instanceof Refusal ? error.code : String(error)),
  );
const pulled = async (): Promise<void> => {
  for await (const _step of library().pull('rec-none', { signal: new AbortController().signal }));
};

/** The library's calls: path, call, and what comes of it. */
const LIBRARY: Readonly<Record<string, readonly [string, () => Promise<unknown>, string]>> = {
  tags: ['/api/tags', () => library().list(), 'done'],
  'show: chat model': ['/api/show', () => library().show('smollm2'), 'done'],
  'show: with system': ['/api/show', () => library().show('rec-sys'), 'done'],
  'show: embedding model': ['/api/show', () => library().show('minilm'), 'done'],
  'show: missing model': ['/api/show', () => library().show('rec-none'), 'not-found'],
  'show: no model field': ['/api/show', () => library().show('rec-none'), 'invalid'],
  'ps: empty': ['/api/ps', () => library().running(), 'done'],
  'ps: loaded': ['/api/ps', () => library().running(), 'done'],
  delete: ['/api/delete', () => library().remove('rec-copy'), 'done'],
  'delete: missing': ['/api/delete', () => library().remove('rec-copy'), 'not-found'],
  'delete: no name': ['/api/delete', () => library().remove('rec-copy'), 'invalid'],
  'pull: no route to the registry, streamed': ['/api/pull', pulled, 'unavailable'],
  'pull: the same, not streamed': ['/api/pull', pulled, 'unavailable'],
  'pull: bad name': ['/api/pull', pulled, 'invalid'],
};

for (const [name, [path, call, expected]] of Object.entries(LIBRARY))
  test(`library: ${name}`, async () => {
    const answer = recordedAnswer(name);
    assert.ok(answer, 'recorded');
    if (answer) own.standin.answerNext(path, answer);
    assert.is(await code(call()), expected);
  });

test('every expectation belongs to a recorded case', () => {
  const names = new Set(cases.map(({ name }) => name));
  for (const name of [...Object.keys(WIRE), ...Object.keys(CLIENT), ...Object.keys(LIBRARY)])
    assert.ok(names.has(name), name);
});

const without = [...leftOut].map(
  ([reason, names]) => `${reason}: ${names.filter((name) => !(name in LIBRARY)).join(' · ')}`,
);
console.log(`left out of the Ollama vectors: ${without.join('; ')}`);
test.run();
