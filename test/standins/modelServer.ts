/**
 * A stand-in for a server that speaks OpenAI's or Anthropic's protocol, not one: what it sends has the shape recorded from
 * a real server, and it does wrong what it is told to (modelServerFaults.ts). Its texts are made up; it counts a token for
 * four characters.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type ModelServerFault, modelServerFaults } from './modelServerFaults.ts';

/** What is different between the protocols. */
export interface SpokenProtocol {
  readonly chatPath: string;
  /** A stream in pieces: one for each text among them, those before it and after it for the rest. */
  stream(answer: StandinAnswer): { begin: string[]; texts: string[]; end: string[] };
  /** An event of this JSON text, whatever it is. */
  event(json: string): string;
  /** An event that says that something went wrong. */
  errorEvent(type: string, message: string): string;
  /** The body of an error. */
  error(type: string, message: string, more?: Record<string, unknown>): Record<string, unknown>;
}

export interface StandinAnswer {
  readonly texts: readonly string[];
  readonly ends: 'by itself' | 'at the limit' | 'refused' | 'with a tool';
  readonly promptTokens: number;
}

export interface ModelServerRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Record<string, unknown>;
  /** Whether the caller closed the connection before the answer was complete. */
  cut: boolean;
}

export interface ModelServer {
  readonly url: string;
  readonly requests: ModelServerRequest[];
  chats(): ModelServerRequest[];
  /** In place of the next answers to a chat, until null. */
  fail(fault: ModelServerFault | null): void;
  /** In place of the next request to that path, once. */
  answerNext(path: string, play: (response: ServerResponse) => void): void;
  /** Answers being written now. */
  working(): number;
  readonly delays: { pieceMs: number };
  /** Pieces of an answer that nothing limits (12). */
  writes(pieces: number): void;
  stop(): Promise<void>;
}

/** The only model that it has. */
export const STANDIN_MODEL = 'river-1';
/** Its context in tokens. */
export const STANDIN_CONTEXT = 4_096;
const WORDS = ['river', 'stone', 'cloud', 'paper', 'green', 'seven', 'north', 'bread'];

interface World {
  readonly spoken: SpokenProtocol;
  readonly requests: ModelServerRequest[];
  readonly instead: Map<string, (response: ServerResponse) => void>;
  readonly delays: { pieceMs: number };
  fault: ModelServerFault | null;
  working: number;
  length: number;
}

/** Listens on a free port of loopback. */
export async function startModelServer(spoken: SpokenProtocol): Promise<ModelServer> {
  const world: World = {
    spoken,
    requests: [],
    instead: new Map(),
    delays: { pieceMs: 1 },
    fault: null,
    working: 0,
    length: 12,
  };
  const server = createServer((request, response) => void answer(world, request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: world.requests,
    chats: () => world.requests.filter(({ path }) => path === spoken.chatPath),
    fail: (fault) => (world.fault = fault),
    answerNext: (path, play) => world.instead.set(path, play),
    working: () => world.working,
    delays: world.delays,
    writes: (pieces) => (world.length = pieces),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A JSON answer. */
export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

async function answer(world: World, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await readBody(request);
  const { method = '', url: path = '', headers } = request;
  const entry: ModelServerRequest = { method, path, headers, body, cut: false };
  world.requests.push(entry);
  response.on('close', () => (entry.cut = !response.writableFinished));
  const other = world.instead.get(path);
  world.instead.delete(path);
  if (other) return other(response);
  if (method === 'GET' && path.startsWith('/v1/models/'))
    return model(world, decodeURIComponent(path.slice(11)), response);
  if (method === 'POST' && path === world.spoken.chatPath) return await chat(world, entry, response);
  response.writeHead(404, { 'content-type': 'text/plain' }).end('404 page not found');
}

function model({ spoken }: World, name: string, response: ServerResponse): void {
  if (name === STANDIN_MODEL) return sendJson(response, 200, { id: name, object: 'model', created: 1_790_000_000 });
  sendJson(response, 404, spoken.error('not_found_error', `model '${name}' not found`));
}

async function chat(world: World, entry: ModelServerRequest, response: ServerResponse): Promise<void> {
  const { spoken } = world;
  if (entry.body['model'] !== STANDIN_MODEL)
    return sendJson(response, 404, spoken.error('not_found_error', `model '${String(entry.body['model'])}' not found`));
  const promptTokens = Math.ceil(JSON.stringify(entry.body['messages']).length / 4);
  if (promptTokens > STANDIN_CONTEXT) return modelServerFaults.promptTooLong(response, spoken);
  world.working += 1;
  response.once('close', () => (world.working -= 1));
  if (world.fault) return modelServerFaults[world.fault](response, spoken);
  const { max_tokens, seed } = entry.body as { max_tokens?: number; seed?: number };
  const count = Math.min(world.length, max_tokens ?? Infinity);
  const from = seed ?? stir();
  const texts = Array.from({ length: count }, (_, i) => ` ${WORDS[(i * 5 + from) % WORDS.length]}`);
  const ends = count === max_tokens ? 'at the limit' : 'by itself';
  const { begin, texts: pieces, end } = spoken.stream({ texts, ends, promptTokens });
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const piece of [...begin, ...pieces, ...end]) {
    if (response.destroyed) return;
    response.write(piece);
    await new Promise((resolve) => setTimeout(resolve, world.delays.pieceMs));
  }
  response.end();
}

let stirred = 0;
/** Without a seed every answer is another one. */
function stir(): number {
  return (stirred += 1);
}

async function readBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  const pieces: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) pieces.push(chunk);
  return pieces.length === 0 ? {} : (JSON.parse(Buffer.concat(pieces).toString('utf8')) as Record<string, unknown>);
}
