/**
 * A stand-in for an Ollama server, not one: it answers with frames recorded from a real one, and does wrong what it is
 * told to (ollamaFaults.ts). Its texts are made up; it counts a token for four characters.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type OllamaFaultName, ollamaFaults } from './ollamaFaults.ts';
import { filledIn, type RecordedAnswer, recordedAnswer, recordedFrames } from './ollamaRecordings.ts';

export interface StandinRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Record<string, unknown>;
  /** `performance.now()`. */
  readonly at: number;
  /** Whether the caller closed the connection before the answer was complete. */
  cut: boolean;
}

/** An answer as recorded, or whatever is given: `raw` is written as it is, `open` never ends it. */
export type OtherAnswer = RecordedAnswer & {
  headers?: Record<string, string>;
  raw?: readonly (string | Uint8Array)[];
  open?: boolean;
};

export interface OllamaStandin {
  readonly url: string;
  readonly requests: StandinRequest[];
  /** Chats with messages, without loads. */
  chats(): StandinRequest[];
  /** In place of the next chats with messages, until null. */
  fail(fault: OllamaFaultName | null): void;
  /** In place of the next request to that path, once. */
  answerNext(path: string, answer: OtherAnswer): void;
  /** Answers being written now. */
  working(): number;
  /** Which models are loaded, as `ps` would say. */
  loaded(): string[];
  /** How long a load takes, and each frame. */
  readonly delays: { loadMs: number; frameMs: number };
  /** Frames of an answer that nothing limits (12). */
  writes(frames: number): void;
  stop(): Promise<void>;
}

const MODELS = ['smollm2:latest', 'minilm:latest', 'smollm2:135m'];
const WORDS = ['river', 'stone', 'cloud', 'paper', 'green', 'seven', 'north', 'bread'];

/** What the server knows, shared by its handlers. */
interface World {
  readonly models: Set<string>;
  readonly requests: StandinRequest[];
  readonly loaded: Set<string>;
  readonly instead: Map<string, OtherAnswer>;
  readonly delays: { loadMs: number; frameMs: number };
  fault: OllamaFaultName | null;
  working: number;
  length: number;
}

/** Listens on a free port of loopback. */
export async function startOllamaStandin(): Promise<OllamaStandin> {
  const world: World = {
    models: new Set(MODELS),
    requests: [],
    loaded: new Set(),
    instead: new Map(),
    delays: { loadMs: 0, frameMs: 1 },
    fault: null,
    working: 0,
    length: 12,
  };
  const server = createServer((request, response) => void answer(world, request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: world.requests,
    chats: () => world.requests.filter(({ path, body }) => path === '/api/chat' && messagesOf(body).length > 0),
    fail: (fault) => (world.fault = fault),
    answerNext: (path, other) => world.instead.set(path, other),
    working: () => world.working,
    loaded: () => [...world.loaded],
    delays: world.delays,
    writes: (frames) => (world.length = frames),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(world: World, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await readBody(request);
  const { method = '', url: path = '', headers } = request;
  const entry: StandinRequest = { method, path, headers, body, at: performance.now(), cut: false };
  world.requests.push(entry);
  response.on('close', () => (entry.cut = !response.writableFinished));
  const other = world.instead.get(path);
  world.instead.delete(path);
  if (other) return play(response, other);
  if (path === '/api/chat') return await chat(world, entry, response);
  play(response, plainAnswer(world, entry));
}

async function chat(world: World, entry: StandinRequest, response: ServerResponse): Promise<void> {
  const name = latest(String(entry.body['model']).toLowerCase());
  if (!world.models.has(name)) return play(response, recordedAnswer('model: missing'));
  if (name.startsWith('minilm')) return play(response, recordedAnswer('model: an embedding model'));
  if (!world.loaded.has(name)) await pause(world.delays.loadMs);
  // O3: an abort while the model loads throws the load away.
  if (entry.cut) return;
  world.loaded.add(name);
  if (messagesOf(entry.body).length === 0) return play(response, recordedAnswer('chat: empty messages load the model'));
  world.working += 1;
  response.once('close', () => (world.working -= 1));
  if (world.fault) ollamaFaults[world.fault](response);
  else await write(world, entry, response);
}

async function write(world: World, { body }: StandinRequest, response: ServerResponse): Promise<void> {
  const options = (body['options'] ?? {}) as { num_ctx?: number; num_predict?: number; seed?: number };
  const promptTokens = Math.ceil(messagesOf(body).reduce((sum, { content }) => sum + content.length, 0) / 4);
  if (promptTokens > (options.num_ctx ?? 4096) && body['truncate'] === false)
    return play(response, recordedAnswer('context: truncate false'));
  const limit = options.num_predict ?? Infinity;
  const count = Math.min(world.length, limit > 0 ? limit : Infinity);
  const from = options.seed ?? stir();
  const texts = Array.from({ length: count }, (_, i) => ` ${WORDS[(i * 5 + from) % WORDS.length]}`);
  const name = count === limit ? 'chat: streamed' : 'chat: streamed until the model stops';
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  for (const frame of recordedFrames(name, texts, promptTokens)) {
    if (response.destroyed) return;
    response.write(`${JSON.stringify({ ...frame, model: body['model'] })}\n`);
    await pause(world.delays.frameMs);
  }
  response.end();
}

function messagesOf(body: Record<string, unknown>): readonly { content: string }[] {
  return (body['messages'] ?? []) as { content: string }[];
}

let stirred = 0;
/** Without a seed every answer is another one. */
function stir(): number {
  return (stirred += 1);
}

function plainAnswer({ models, loaded }: World, { path, method, body }: StandinRequest): RecordedAnswer | null {
  const name = latest(String(body['model'] ?? body['name']).toLowerCase());
  switch (`${method} ${path}`) {
    case 'GET /api/version':
      return recordedAnswer('version');
    case 'GET /api/tags':
      return {
        status: 200,
        body: { models: [...models].map((model) => ({ name: model, model, size: 98_363_007, digest: '<digest>' })) },
      };
    case 'GET /api/ps':
      return loaded.size > 0 ? recordedAnswer('ps: loaded') : recordedAnswer('ps: empty');
    case 'POST /api/show':
      if (name.startsWith('minilm')) return recordedAnswer('show: embedding model');
      return recordedAnswer(models.has(name) ? 'show: chat model' : 'show: missing model');
    case 'DELETE /api/delete':
      return recordedAnswer(models.delete(name) ? 'delete' : 'delete: missing');
    case 'POST /api/pull':
      return recordedAnswer('pull: no route to the registry, streamed');
    default:
      return recordedAnswer('unknown path');
  }
}

function play(response: ServerResponse, answer: OtherAnswer | null): void {
  if (!answer) throw new Error('the recordings hold no such answer');
  const type = (answer.type ?? 'application/json').replace('json utf-8', 'application/json; charset=utf-8');
  response.writeHead(answer.status ?? 200, { 'content-type': type, ...answer.headers });
  for (const piece of answer.raw ?? []) response.write(piece);
  for (const { times = 1, ...frame } of answer.frames ?? [])
    for (let i = 0; i < (typeof times === 'number' ? times : 1); i++)
      response.write(`${JSON.stringify(filledIn(frame))}\n`);
  if (answer.body) response.write(JSON.stringify(filledIn(answer.body)));
  if (answer.open !== true) response.end(answer.text ?? '');
}

function latest(name: string): string {
  return name.includes(':') ? name : `${name}:latest`;
}

async function readBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  const pieces: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) pieces.push(chunk);
  return pieces.length === 0 ? {} : (JSON.parse(Buffer.concat(pieces).toString('utf8')) as Record<string, unknown>);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
