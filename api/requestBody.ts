/** From bytes to a JSON value that can do no harm: bounded in size, depth and width, plain keys, well-formed text. */
import express, { type Request, type Response } from 'express';
import { Refusal } from '../domain/refusal.ts';
import { ProtocolRefusal } from './problem.ts';

const MAX_DEPTH = 32;
const MAX_ARRAY = 1_000;
const MAX_KEYS = 1_000;

/** Keys that reach an object's prototype when a careless merge meets them. */
const FORBIDDEN_KEYS = new Set(['__proto__', 'constructor', 'prototype']);

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Reads and checks a request's JSON body; undefined when there is none. @throws Refusal `invalid` or `too-large`, ProtocolRefusal. */
export type ReadBody = (req: Request, res: Response) => Promise<unknown>;

/** @param maxBytes largest body. */
export function createReadBody(maxBytes: number): ReadBody {
  // `inflate: false`: a compressed body would be unpacked before its size is known to be ours to bear.
  const raw = express.raw({ type: () => true, limit: maxBytes, inflate: false });
  return async (req, res) => {
    if (!hasBody(req)) return undefined;
    requireJson(req.headers['content-type']);
    await new Promise<void>((resolve, reject) => {
      raw(req, res, (error?: unknown) => (error === undefined ? resolve() : reject(asError(error))));
    });
    const body: unknown = req.body;
    if (!(body instanceof Uint8Array) || body.byteLength === 0) return undefined;
    return parseJson(body);
  };
}

/** Whether the request carries a body, by RFC 9112 §6. */
export function hasBody(req: Request): boolean {
  const length = req.headers['content-length'];
  return req.headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}

function requireJson(contentType: string | undefined): void {
  if (contentType !== undefined && /^application\/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?$/i.test(contentType)) return;
  throw new ProtocolRefusal('unsupported-media-type', 'send the body as application/json in UTF-8', {
    Accept: 'application/json',
  });
}

function parseJson(bytes: Uint8Array): unknown {
  let value: unknown;
  try {
    value = JSON.parse(utf8.decode(bytes));
  } catch {
    // The parser's message quotes the body; bodies do not belong in answers or logs.
    throw new Refusal('invalid', 'the body is not well-formed JSON in UTF-8', {
      issues: [{ pointer: '', code: 'malformed-json', detail: 'could not be parsed' }],
    });
  }
  requirePlain(value);
  return value;
}

/** @throws Refusal `invalid` for what zod would not look at: depth, width, prototype keys, NUL, lone surrogates. */
export function requirePlain(value: unknown, at = '', depth = 0): void {
  if (typeof value === 'string') return requireText(value, at);
  if (typeof value !== 'object' || value === null) return;
  if (depth >= MAX_DEPTH) throw refused(at, 'too-deep', `values may be nested ${MAX_DEPTH} deep`);
  if (Array.isArray(value)) {
    if (value.length > MAX_ARRAY) throw refused(at, 'too-many', `lists may have ${MAX_ARRAY} elements`);
    value.forEach((element, index) => requirePlain(element, `${at}/${index}`, depth + 1));
    return;
  }
  const entries = Object.entries(value);
  if (entries.length > MAX_KEYS) throw refused(at, 'too-many', `objects may have ${MAX_KEYS} fields`);
  for (const [key, element] of entries) {
    if (FORBIDDEN_KEYS.has(key)) throw refused(at, 'forbidden-key', `must not have a field ${key}`);
    requireText(key, at);
    requirePlain(element, `${at}/${key.slice(0, 200).replaceAll('~', '~0').replaceAll('/', '~1')}`, depth + 1);
  }
}

/** @throws Refusal `invalid` for texts that Postgres and RFC 8785 cannot hold. */
export function requireText(text: string, at: string): void {
  if (text.includes('\u0000')) throw refused(at, 'not-text', 'must not contain NUL characters');
  if (!text.isWellFormed()) throw refused(at, 'not-text', 'must not contain lone surrogates');
}

function refused(pointer: string, code: string, detail: string): Refusal {
  return new Refusal('invalid', `the request is not plain data: ${detail}`, { issues: [{ pointer, code, detail }] });
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error('the body could not be read', { cause: thrown });
}
