/**
 * A stand-in for servers that embed, not one: it speaks Ollama's `/api/embed` and OpenAI's `/v1/embeddings` in the shapes
 * recorded from a real server. Its vectors come of hashes; it counts a token for four characters.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type EmbeddingFault, embeddingFaults } from './embeddingFaults.ts';
import { filledIn, recordedAnswer } from './ollamaRecordings.ts';

export interface EmbeddingsRequest {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Record<string, unknown>;
  /** Whether the caller closed the connection before the answer was complete. */
  cut: boolean;
}

export interface EmbeddingsStandin {
  readonly url: string;
  readonly requests: EmbeddingsRequest[];
  /** Those with texts, without loads. */
  embeds(): EmbeddingsRequest[];
  /** In place of the next vectors, until null. */
  fail(fault: EmbeddingFault | null): void;
  /** In place of the next answer to texts, once. */
  answerNext(answer: { status: number; body: unknown }): void;
  /** Calls that it works on now. */
  working(): number;
  readonly delays: { loadMs: number; batchMs: number };
  /** Of the model that embeds. */
  digest: string;
  stop(): Promise<void>;
}

export const STANDIN_DIMENSIONS = 384;
/** One text more than this many characters is too long. */
export const STANDIN_CHARACTERS = 2_048;

interface World {
  readonly requests: EmbeddingsRequest[];
  readonly delays: { loadMs: number; batchMs: number };
  digest: string;
  fault: EmbeddingFault | null;
  next: { status: number; body: unknown } | null;
  working: number;
}

/** Listens on a free port of loopback. */
export async function startEmbeddingsStandin(): Promise<EmbeddingsStandin> {
  const world: World = {
    requests: [],
    delays: { loadMs: 0, batchMs: 1 },
    digest: 'd'.repeat(64),
    fault: null,
    next: null,
    working: 0,
  };
  const server = createServer((request, response) => void answer(world, request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: world.requests,
    embeds: () => world.requests.filter(({ path, body }) => /embed/.test(path) && textsOf(body).length > 0),
    fail: (fault) => (world.fault = fault),
    answerNext: (other) => (world.next = other),
    working: () => world.working,
    delays: world.delays,
    get digest() {
      return world.digest;
    },
    set digest(digest) {
      world.digest = digest;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** As long as it wants: whoever needs length 1 has to see to it. */
export function standinVector(text: string): number[] {
  return Array.from({ length: STANDIN_DIMENSIONS / 32 }, (_, block) => [
    ...createHash('sha256').update(`${block} ${text}`).digest(),
  ])
    .flat()
    .map((byte) => (byte - 127.5) / 1_000);
}

async function answer(world: World, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const pieces: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) pieces.push(chunk);
  const body = (pieces.length === 0 ? {} : JSON.parse(Buffer.concat(pieces).toString('utf8'))) as Record<
    string,
    unknown
  >;
  const { url: path = '', headers } = request;
  const entry = { path, headers, body, cut: false };
  world.requests.push(entry);
  response.on('close', () => (entry.cut = !response.writableFinished));
  const name = String(body['model']).replace(/:latest$/, '');
  if (path === '/api/tags') {
    const models = ['minilm', 'smollm2'].map((model) => ({ name: `${model}:latest`, digest: world.digest }));
    return send(response, 200, { models });
  }
  if (path === '/api/show') return recorded(response, SHOWN[name] ?? 'show: missing model');
  world.working += 1;
  response.once('close', () => (world.working -= 1));
  if (path === '/api/embed') return await ollama(world, name, entry, response);
  if (path === '/v1/embeddings') return await openAi(world, name, entry, response);
  send(response, 404, {});
}

const SHOWN: Readonly<Record<string, string>> = { minilm: 'show: embedding model', smollm2: 'show: chat model' };

async function ollama(world: World, name: string, entry: EmbeddingsRequest, response: ServerResponse): Promise<void> {
  const texts = textsOf(entry.body);
  if (!(name in SHOWN)) return recorded(response, 'embed: missing model');
  if (texts.length === 0) {
    await pause(world.delays.loadMs);
    return recorded(response, 'embed: empty list');
  }
  if (tooLong(texts) && entry.body['truncate'] === false) return recorded(response, 'embed: too long, truncate false');
  const { body = {} } = recordedAnswer('embed: one text') ?? {};
  await vectors(world, texts, response, (embeddings) => ({ ...body, model: name, embeddings }));
}

async function openAi(world: World, name: string, entry: EmbeddingsRequest, response: ServerResponse): Promise<void> {
  const texts = textsOf(entry.body);
  const error = (message: string) => ({ error: { message, type: 'invalid_request_error', param: null, code: null } });
  if (!(name in SHOWN)) return send(response, 404, error(`model "${name}" not found, try pulling it first`));
  if (name === 'smollm2')
    return send(response, 403, error('You are not allowed to generate embeddings from this model'));
  if (tooLong(texts)) return send(response, 400, error("This model's maximum context length is 512 tokens"));
  await vectors(world, texts, response, (rows) => ({
    object: 'list',
    // As some gateways do: in another order.
    data: rows.map((embedding, index) => ({ object: 'embedding', embedding, index })).reverse(),
    model: name,
    usage: { prompt_tokens: 7, total_tokens: 7 },
  }));
}

async function vectors(
  world: World,
  texts: readonly string[],
  response: ServerResponse,
  wrapped: (rows: readonly unknown[]) => unknown,
): Promise<void> {
  const { next } = world;
  world.next = null;
  if (next) return send(response, next.status, next.body);
  const rows = texts.map(standinVector);
  if (world.fault) return embeddingFaults[world.fault](response, rows, wrapped);
  await pause(world.delays.batchMs);
  send(response, 200, wrapped(rows));
}

function textsOf(body: Record<string, unknown>): readonly string[] {
  const { input } = body;
  return Array.isArray(input) ? input.map(String) : [];
}

function tooLong(texts: readonly string[]): boolean {
  return texts.some((text) => text.length > STANDIN_CHARACTERS);
}

function recorded(response: ServerResponse, name: string): void {
  const found = recordedAnswer(name);
  if (!found) throw new Error(`the recordings hold no answer "${name}"`);
  send(response, found.status ?? 200, found.body);
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(filledIn(body)));
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
