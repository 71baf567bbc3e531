import { z } from 'zod';
import type { Evidence } from '../../domain/audit/evidence.ts';
import { extendEvidence } from '../../domain/audit/extend.ts';
import { readNote } from '../../domain/audit/note.ts';
import { Refusal } from '../../domain/refusal.ts';
import type { ApiContext } from '../context.ts';
import { cursorKey, pageOf } from '../page.ts';
import { pageShape } from '../queryValues.ts';
import { checkpointOnTheWire, checkpointSchema, exampleCheckpoint } from '../resources/checkpoint.ts';
import { defineRoute, type Route } from '../route.ts';
import type { ApiAudit } from './audit.ts';

const common = { tags: ['audit'], auth: 'bearer', problems: ['not-found'] } as const;
/** A checkpoint asked for covers at most so many events; more are the auditor's. */
const MOST_AT_ONCE = 20_000;

/** Signed checkpoints of the log: read them, ask for one now. */
export function checkpointRoutes({ engine }: ApiContext, audit: ApiAudit): Route[] {
  const { evidence } = audit;
  return [
    defineRoute({
      ...common,
      method: 'get',
      path: '/audit/checkpoints',
      operationId: 'listCheckpoints',
      summary: 'Signed checkpoints of the log, newest first',
      action: 'read',
      query: z.strictObject(pageShape),
      responses: {
        200: {
          description: 'A page',
          schema: z.strictObject({ data: z.array(checkpointSchema), nextCursor: z.string().nullable() }),
          example: { data: [exampleCheckpoint], nextCursor: null },
        },
      },
      async handler(request) {
        await request.authorize({ project: '*', kind: 'audit' });
        const { limit, cursor } = request.query;
        const before = Number(cursorKey(cursor) ?? Infinity);
        const sizes = (await evidence.sizes()).filter((size) => size < before).reverse();
        const rows = await Promise.all(
          sizes.slice(0, limit + 1).map(async (size) => readNote(await evidence.note(size))),
        );
        return pageOf(request, rows, limit, ({ checkpoint }) => checkpoint.size, checkpointOnTheWire);
      },
    }),
    defineRoute({
      ...common,
      method: 'post',
      path: '/audit/checkpoints',
      operationId: 'makeCheckpoint',
      summary: 'Sign a checkpoint over all events now, instead of within the minute',
      action: 'administer',
      problems: ['not-found', 'conflict'],
      responses: {
        201: { description: 'The newest checkpoint', schema: checkpointSchema, example: exampleCheckpoint },
      },
      async handler(request) {
        await request.authorize({ project: '*', kind: 'audit' });
        const { store, clock } = engine;
        const extension = await extendEvidence({ ...audit, store });
        await extension.check();
        const count = await extension.read(MOST_AT_ONCE);
        if (count === MOST_AT_ONCE)
          throw new Refusal('unavailable', 'the auditor is far behind: wait until it has caught up');
        await extension.write(new Date(clock.now()).toISOString());
        return { body: checkpointOnTheWire(readNote(await newestNote(evidence))) };
      },
    }),
  ];
}

async function newestNote(evidence: Evidence): Promise<string> {
  const size = (await evidence.sizes()).at(-1);
  if (size === undefined) throw new Refusal('not-found', 'the log is empty: there is nothing to sign');
  return evidence.note(size);
}
