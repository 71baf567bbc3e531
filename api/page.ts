/** Pages of lists: `{data, nextCursor}` with an opaque cursor and a Link header (RFC 8288). */
import { Refusal } from '../domain/refusal.ts';
import { isPlace } from './queryValues.ts';
import type { Answer, RequestContext } from './route.ts';

/** What a turn's number or a message's revision is stored as. */
export const LAST_INTEGER = 2n ** 31n - 1n;

/** The key that a cursor stands for, at most `last`. @throws Refusal `invalid` for a cursor that is not ours. */
export function cursorKey(cursor: string | undefined, last?: bigint): string | undefined {
  if (cursor === undefined) return undefined;
  const key = Buffer.from(cursor, 'base64url').toString('utf8');
  if (isPlace(key, last)) return key;
  throw new Refusal('invalid', 'this cursor is not one of ours', {
    issues: [{ pointer: 'query/cursor', code: 'malformed', detail: 'use nextCursor as it was answered' }],
  });
}

/**
 * @param rows up to `limit` + 1 of them: the one too many says that there is a next page.
 * @param keyOf what the next page begins after.
 */
export function pageOf<R>(
  request: RequestContext,
  rows: readonly R[],
  limit: number,
  keyOf: (row: R) => string | number,
  show: (row: R) => unknown,
): Answer {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const nextCursor =
    rows.length > limit && last !== undefined ? Buffer.from(String(keyOf(last))).toString('base64url') : null;
  return {
    body: { data: shown.map(show), nextCursor },
    ...(nextCursor === null ? {} : { headers: { Link: linkTo(request, nextCursor) } }),
  };
}

function linkTo({ req }: RequestContext, cursor: string): string {
  const url = new URL(req.originalUrl, 'http://localhost');
  url.searchParams.set('cursor', cursor);
  return `<${url.pathname}${url.search}>; rel="next"`;
}
