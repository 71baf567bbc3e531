/** What a model server's stand-in can be told to do wrong: one fault, in place of the next answers to a chat. */
import type { ServerResponse } from 'node:http';
import type { SpokenProtocol, StandinAnswer } from './modelServer.ts';

const EVENTS = { 'content-type': 'text/event-stream' };
const JSON_TYPE = { 'content-type': 'application/json' };
const SERVER_PATH = '/srv/models/blobs/sha256-b179c9523d0e';
/** What a provider repeats of a key that it refuses; no test's own key. */
export const ECHOED_KEY = 'sk-echoed-by-the-server';

type Player = (response: ServerResponse, spoken: SpokenProtocol) => void;
type Pieces = ReturnType<SpokenProtocol['stream']>;

const pieces = (spoken: SpokenProtocol, answer: Partial<StandinAnswer> = {}): Pieces =>
  spoken.stream({ texts: [' half', ' of', ' it'], ends: 'by itself', promptTokens: 12, ...answer });

/** Two texts; what is left of the answer is returned. */
const half = (response: ServerResponse, spoken: SpokenProtocol): string[] => {
  const { begin, texts, end } = pieces(spoken);
  response.writeHead(200, EVENTS);
  for (const piece of [...begin, ...texts.slice(0, 2)]) response.write(piece);
  return [...texts.slice(2), ...end];
};

const whole =
  (change: (parts: Pieces) => readonly string[], answer: Partial<StandinAnswer> = {}): Player =>
  (response, spoken) =>
    void response.writeHead(200, EVENTS).end(change(pieces(spoken, answer)).join(''));

/** After the second text; the rest follows as if nothing were wrong. */
const between =
  (piece: (spoken: SpokenProtocol) => string): Player =>
  (response, spoken) => {
    const rest = half(response, spoken);
    response.end([piece(spoken), ...rest].join(''));
  };

const status =
  (code: number, type: string, message: string, headers: Record<string, string> = {}, more = {}): Player =>
  (response, spoken) =>
    void response.writeHead(code, { ...JSON_TYPE, ...headers }).end(JSON.stringify(spoken.error(type, message, more)));

const all = ({ begin, texts, end }: Pieces): string[] => [...begin, ...texts, ...end];

export const modelServerFaults = {
  stallBeforeFirstByte: () => undefined,
  /** Headers arrive byte by byte and are never complete. */
  slowHeaders: (response) => {
    response.socket?.write('HTTP/1.1 200 OK\r\ncontent-type: appl');
    const drip = setInterval(() => response.socket?.write('i'), 20);
    response.socket?.once('close', () => clearInterval(drip));
  },
  /** The headers at once, and nothing more. */
  headersOnly: (response) => {
    response.writeHead(200, EVENTS);
    response.flushHeaders();
  },
  stallAfterFirstByte: (response, spoken) => void half(response, spoken),
  halfThenFin: (response, spoken) => {
    half(response, spoken);
    setTimeout(() => response.socket?.end(), 10);
  },
  halfThenRst: (response, spoken) => {
    half(response, spoken);
    setTimeout(() => response.socket?.resetAndDestroy(), 10);
  },
  finBeforeHeaders: (response) => void response.socket?.destroy(),
  notHttp: (response) => void response.socket?.end('SSH-2.0-OpenSSH_9.2\r\n'),
  /** A clean end without a finish reason: a model that repeats itself, seen with Ollama. */
  noDone: (response, spoken) => {
    half(response, spoken);
    response.end();
  },
  halfEvent: (response, spoken) => {
    half(response, spoken);
    response.end('data: {"choices":[{"delta":{"con');
  },
  garbageLine: between((spoken) => spoken.event('<html>not json</html>')),
  rawGarbage: between(() => '<html>\n<body>\n'),
  numberEvent: between((spoken) => spoken.event('5')),
  nullEvent: between((spoken) => spoken.event('null')),
  comments: between(() => ': still here\n\n'),
  pings: between(() => 'event: ping\ndata: {"type": "ping"}\n\n'),
  carriageReturns: whole((parts) => all(parts).map((piece) => piece.replaceAll('\n', '\r\n'))),
  hugeLine: between((spoken) => spoken.event(`{"text":"${'x'.repeat(10_000_000)}"}`)),
  endless: (response, spoken) => {
    half(response, spoken);
    const [more = ''] = pieces(spoken).texts;
    const again = setInterval(() => response.write(more), 5);
    response.once('close', () => clearInterval(again));
  },
  noText: whole(({ begin, end }) => [...begin, ...end]),
  refusal: whole(all, { ends: 'refused' }),
  toolCall: whole(all, { ends: 'with a tool' }),
  errorLine: between((spoken) => spoken.errorEvent('api_error', `open ${SERVER_PATH}: no such file or directory`)),
  overloadedLine: between((spoken) => spoken.errorEvent('overloaded_error', 'Overloaded')),
  status400: status(400, 'invalid_request_error', 'something is wrong'),
  status401: status(401, 'authentication_error', `Incorrect API key provided: ${ECHOED_KEY}, organization org-acme`),
  status403: status(403, 'permission_error', 'your organization org-acme may not do that'),
  status404: (response) => void response.writeHead(404, { 'content-type': 'text/plain' }).end('404 page not found'),
  status408: status(408, 'timeout_error', 'too slow'),
  status409: status(409, 'conflict_error', 'try again'),
  status429: status(429, 'rate_limit_error', 'slow down', { 'retry-after': '7' }),
  status429Exact: status(429, 'rate_limit_error', 'slow down', { 'retry-after-ms': '1500', 'retry-after': '2' }),
  status429Credit: status(
    429,
    'insufficient_quota',
    'You exceeded your current quota',
    {},
    { code: 'insufficient_quota' },
  ),
  status500: status(500, 'api_error', `llama runner: ${SERVER_PATH} is corrupt`),
  status502Html: (response) =>
    void response.writeHead(502, { 'content-type': 'text/html' }).end('<html>bad gateway</html>'),
  status503: status(503, 'api_error', 'the engine is overloaded'),
  status503Date: (response, spoken) =>
    status(503, 'api_error', 'later', { 'retry-after': new Date(Date.now() + 60_000).toUTCString() })(response, spoken),
  status529: status(529, 'overloaded_error', 'Overloaded', { 'retry-after': '3' }),
  contentFilter: status(400, 'invalid_request_error', 'The response was filtered', {}, { code: 'content_filter' }),
  okWithErrorBody: (response) => void response.writeHead(200, JSON_TYPE).end('{"error":"boom"}'),
  okHtml: (response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>\n</html>'),
  noContent: (response) => void response.writeHead(204).end(),
  redirect: (response) => void response.writeHead(307, { location: 'http://127.0.0.1:9/elsewhere' }).end(),
  wrongOption: status(400, 'invalid_request_error', 'temperature: wrong', {}, { param: 'temperature' }),
  promptTooLong: status(400, 'invalid_request_error', 'prompt is too long: 5000 tokens > 4096 maximum'),
  promptTooLongByCode: status(400, 'invalid_request_error', 'too much', {}, { code: 'context_length_exceeded' }),
} satisfies Record<string, Player>;

export type ModelServerFault = keyof typeof modelServerFaults;
