/** What requests say in their headers, read strictly: a header we act on is either right or refused. */
import type { IncomingHttpHeaders } from 'node:http';
import { Refusal } from '../domain/refusal.ts';

/** 8-100 characters that can stand in a log line, a header and a URL unquoted. */
const SANE_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{7,99}$/;
const VISIBLE_ASCII = /^[\x21-\x7e]{1,200}$/;
const ENTITY_TAG = /^"r(0|[1-9]\d{0,14})"$/;
/** W3C Trace Context: version ff and all-zero ids are invalid. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** How long a read waits for its projection unless `Prefer: wait=N` says otherwise, and at most. */
const DEFAULT_WAIT_MS = 2_000;
const MAX_WAIT_MS = 20_000;

/** The client's id when it is one that does no harm in logs and headers, else undefined. */
export function saneId(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' && SANE_ID.test(value) ? value : undefined;
}

/** Invalid ones are ignored, as the W3C recommendation asks. */
export function traceparentOf(headers: IncomingHttpHeaders): string | undefined {
  const value = headers['traceparent'];
  return typeof value === 'string' && TRACEPARENT.test(value) ? value : undefined;
}

/** 1-200 visible ASCII characters. @throws Refusal `invalid`. */
export function idempotencyKeyOf(headers: IncomingHttpHeaders): string | undefined {
  return visible(headers, 'Idempotency-Key');
}

/** Opaque here. @throws Refusal `invalid` when it cannot be one of ours. */
export function consistencyTokenOf(headers: IncomingHttpHeaders): string | undefined {
  return visible(headers, 'Consistency-Token');
}

function visible(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name.toLowerCase()];
  if (value === undefined) return undefined;
  if (typeof value === 'string' && VISIBLE_ASCII.test(value)) return value;
  throw refused(name, 'must be 1-200 visible ASCII characters, sent once');
}

/**
 * The revision of `If-Match: "r<revision>"`. `*`, weak tags and lists are refused: they would let a change through that
 * its sender wanted guarded. @throws Refusal `invalid`.
 */
export function ifMatchOf(headers: IncomingHttpHeaders): number | undefined {
  const value = headers['if-match'];
  if (value === undefined) return undefined;
  const revision = ENTITY_TAG.exec(value)?.[1];
  if (revision === undefined)
    throw refused('If-Match', 'must be one strong entity tag as this API sends it, e.g. "r7"');
  return Number(revision);
}

/** RFC 9110 §13.1.2: weak comparison, any of the list, or `*`. */
export function matchesNone(headers: IncomingHttpHeaders, etag: string): boolean {
  const value = headers['if-none-match'];
  if (value === undefined) return true;
  if (value.trim() === '*') return false;
  const bare = etag.replace(/^W\//, '');
  return !value.split(',').some((tag) => tag.trim().replace(/^W\//, '') === bare);
}

/** Milliseconds of `Prefer: wait=N` (RFC 7240), 2 s unless said, at most 20 s; what cannot be read is ignored, as the RFC asks. */
export function preferWaitMsOf(headers: IncomingHttpHeaders): number {
  const value = headers['prefer'];
  if (value === undefined) return DEFAULT_WAIT_MS;
  const seconds = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,6})"?\s*(?:$|[,;])/i.exec(String(value))?.[1];
  return seconds === undefined ? DEFAULT_WAIT_MS : Math.min(Number(seconds) * 1000, MAX_WAIT_MS);
}

function refused(header: string, detail: string): Refusal {
  return new Refusal('invalid', `the ${header} header ${detail}`, {
    issues: [{ pointer: `header/${header}`, code: 'invalid-header', detail }],
  });
}
