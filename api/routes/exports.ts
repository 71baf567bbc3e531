import { once } from 'node:events';
import { z } from 'zod';
import type { Exported } from '../../domain/audit/exportFormat.ts';
import { originOf } from '../../domain/audit/note.ts';
import { writeExport } from '../../domain/audit/writeExport.ts';
import { Refusal } from '../../domain/refusal.ts';
import { authorizeDiscussion, type ApiContext } from '../context.ts';
import { selectDiscussion, type Selection, selectRange } from '../exportRecords.ts';
import { queryPosition } from '../queryValues.ts';
import { defineRoute, type RequestContext, type Route } from '../route.ts';
import type { ApiAudit } from './audit.ts';

const TYPE = 'application/x-ndjson';
const common = {
  method: 'get',
  tags: ['audit'],
  auth: 'stream',
  action: 'read',
  problems: ['not-found'],
  responses: {
    200: {
      description:
        'Lines of JSON: a manifest, events with their exact stored texts, the proof, an end; see docs/audit.md',
      schema: z.string(),
      example: '{"kind":"manifest","format":"colloquy-export/1"}\n',
      contentType: TYPE,
    },
  },
} as const;

/** Events with the proof that they stood in the log, for `colloquy-verify` and `colloquy import`. */
export function exportRoutes(ctx: ApiContext, audit: ApiAudit): Route[] {
  const { store } = ctx.engine;
  return [
    defineRoute({
      ...common,
      path: '/discussions/{id}/export',
      operationId: 'exportDiscussion',
      summary: 'A discussion with what it was forked from and its agents, and the proof of all of it',
      params: z.strictObject({ id: z.uuid() }),
      async handler(request) {
        const { id } = request.params;
        await authorizeDiscussion(ctx, request, id);
        await send(ctx, audit, request, { discussionId: id }, await selectDiscussion(store, id));
        return null;
      },
    }),
    defineRoute({
      ...common,
      path: '/events/export',
      operationId: 'exportEvents',
      summary: 'The log from one position to another, both inclusive, with its proof; for who may read every project',
      query: z.strictObject({ from: queryPosition().default('0'), to: queryPosition().optional() }),
      async handler(request) {
        await request.authorize({ project: '*', kind: 'log' });
        const from = BigInt(request.query.from);
        const to = request.query.to === undefined ? await store.head() : BigInt(request.query.to);
        if (to < from) throw new Refusal('invalid', `the log has nothing from position ${from} to ${to}`);
        const what = { from: from.toString(), to: to.toString() };
        await send(ctx, audit, request, what, { streams: [], records: selectRange(store, audit.evidence, from, to) });
        return null;
      },
    }),
  ];
}

async function send(
  { engine, log }: ApiContext,
  { evidence, signer }: ApiAudit,
  { res, signal }: RequestContext,
  what: Exported,
  { streams, records }: Selection,
): Promise<void> {
  const origin = originOf(await engine.store.lineage());
  const madeAt = new Date(engine.clock.now()).toISOString();
  const { publicKey } = signer;
  const lines = told(writeExport({ evidence, origin, publicKey, what, streams, madeAt, records }));
  res.writeHead(200, { 'Content-Type': TYPE, 'Cache-Control': 'no-store' });
  try {
    for await (const line of lines) if (!res.write(line)) await once(res, 'drain', { signal });
    res.end();
  } catch (error) {
    // Without its last line it is no export; whoever reads it sees that.
    if (!signal.aborted) log.warn({ err: error }, 'an export broke off');
    res.destroy();
  }
}

/** The answer has begun: what goes wrong now is said in its last line. */
async function* told(lines: AsyncIterable<string>): AsyncGenerator<string> {
  try {
    yield* lines;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    yield `${JSON.stringify({ kind: 'error', detail: error.message })}\n`;
  }
}
