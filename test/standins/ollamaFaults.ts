/** What the Ollama stand-in can be told to do wrong: one fault, in place of the next answers to a chat. */
import type { ServerResponse } from 'node:http';
import { recordedAnswer, recordedFrames } from './ollamaRecordings.ts';

const NDJSON = { 'content-type': 'application/x-ndjson' };
const JSON_TYPE = { 'content-type': 'application/json; charset=utf-8' };
const SERVER_PATH = '/usr/share/ollama/.ollama/models/blobs/sha256-b179c9523d0e';

type Player = (response: ServerResponse) => void;

const half = (response: ServerResponse): string[] => {
  const lines = recordedFrames('chat: streamed', [' half', ' of', ' it']).map((frame) => `${JSON.stringify(frame)}\n`);
  response.writeHead(200, NDJSON);
  response.write(lines[0] ?? '');
  response.write(lines[1] ?? '');
  return lines;
};

const status =
  (code: number, error: string, headers: Record<string, string> = {}): Player =>
  (response) =>
    void response.writeHead(code, { ...JSON_TYPE, ...headers }).end(JSON.stringify({ error }));

/** After the second frame; the rest follows as if nothing were wrong. */
const line =
  (text: string): Player =>
  (response) => {
    const lines = half(response);
    response.end(`${text}\n${lines.slice(2).join('')}`);
  };

const recordedStatus =
  (name: string): Player =>
  (response) => {
    const answer = recordedAnswer(name);
    response.writeHead(answer?.status ?? 500, JSON_TYPE).end(JSON.stringify(answer?.body ?? {}));
  };

export const ollamaFaults = {
  stallBeforeFirstByte: () => undefined,
  /** Headers arrive byte by byte and are never complete. */
  slowHeaders: (response) => {
    response.socket?.write('HTTP/1.1 200 OK\r\ncontent-type: appl');
    const drip = setInterval(() => response.socket?.write('i'), 20);
    response.socket?.once('close', () => clearInterval(drip));
  },
  stallAfterFirstByte: (response) => void half(response),
  halfThenFin: (response) => {
    half(response);
    setTimeout(() => response.socket?.end(), 10);
  },
  halfThenRst: (response) => {
    half(response);
    setTimeout(() => response.socket?.resetAndDestroy(), 10);
  },
  finBeforeHeaders: (response) => void response.socket?.destroy(),
  notHttp: (response) => void response.socket?.end('SSH-2.0-OpenSSH_9.2\r\n'),
  /** The cut of a model that repeats itself: a clean end, no done frame. */
  noDone: (response) => {
    half(response);
    response.end();
  },
  halfLine: (response) => {
    half(response);
    response.end('{"model":"smollm2","message":{"role":"assi');
  },
  garbageLine: line('<html>not json</html>'),
  numberLine: line('5'),
  nullLine: line('null'),
  arrayLine: line('[]'),
  errorNull: line('{"model":"smollm2","message":{"role":"assistant","content":" null"},"done":false,"error":null}'),
  errorObject: line('{"error":{"message":"boom"}}'),
  contentNotText: line('{"message":{"role":"assistant","content":7},"done":false}'),
  errorLine: line(JSON.stringify({ error: `open ${SERVER_PATH}: no such file or directory` })),
  duplicateChunk: (response) => {
    const lines = half(response);
    response.end([lines[1], ...lines.slice(2)].join(''));
  },
  hugeLine: (response) => {
    half(response);
    response.end(`{"message":{"content":"${'x'.repeat(10_000_000)}"},"done":false}\n`);
  },
  endless: (response) => {
    half(response);
    const more = setInterval(() => {
      const [frame] = recordedFrames('chat: streamed', [' more']);
      response.write(`${JSON.stringify(frame)}\n`);
    }, 5);
    response.once('close', () => clearInterval(more));
  },
  status429: status(429, 'slow down', { 'retry-after': '7' }),
  status500: status(500, `llama runner: ${SERVER_PATH} is corrupt`),
  status503: status(503, 'server busy, please try again.  maximum pending requests exceeded'),
  status503Date: (response) =>
    status(503, 'try later', { 'retry-after': new Date(Date.now() + 60_000).toUTCString() })(response),
  status529: status(529, 'overloaded', { 'retry-after': '3' }),
  status502Html: (response) =>
    void response.writeHead(502, { 'content-type': 'text/html' }).end('<html>bad gateway</html>'),
  status403: (response) => void response.writeHead(403).end(),
  okWithErrorBody: (response) => void response.writeHead(200, JSON_TYPE).end('{"error":"boom"}'),
  okHtml: (response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>\n</html>'),
  noContent: (response) => void response.writeHead(204).end(),
  redirect: (response) => void response.writeHead(307, { location: 'http://127.0.0.1:9/elsewhere' }).end(),
  wrongOption: recordedStatus('options: num_predict a string'),
  promptTooLong: recordedStatus('context: truncate false'),
  loadAnswer: recordedStatus('chat: empty messages load the model'),
  unloadAnswer: recordedStatus('chat: empty messages and keep_alive 0 unload it'),
  noText: (response) => {
    const [, done] = recordedFrames('unicode: num_predict 3 in the middle of a character', ['']);
    response
      .writeHead(200, NDJSON)
      .end(`${JSON.stringify({ ...done, response: undefined, message: { role: 'assistant', content: '' } })}\n`);
  },
  runnerDiesBefore: status(
    500,
    'model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, check ollama server logs for details',
  ),
  runnerDiesDuring: (response) => {
    half(response);
    response.end('{"error":"an error was encountered while running the model: unexpected EOF"}\n');
  },
} satisfies Record<string, Player>;

export type OllamaFaultName = keyof typeof ollamaFaults;
