import { z } from 'zod';
import type { Backups } from '../../domain/backup/backups.ts';
import { BACKUP_ID } from '../../domain/backup/manifest.ts';
import { Refusal } from '../../domain/refusal.ts';
import type { Operations } from '../operations.ts';
import { defineRoute, type Route } from '../route.ts';
import { exampleOperation, operationSchema } from './operations.ts';

const schema = z
  .strictObject({
    id: z.string(),
    madeAt: z.iso.datetime(),
    program: z.string(),
    lineage: z.string(),
    events: z.int(),
    /** Position of its last event. */
    head: z.string(),
    sizeBytes: z.int(),
    /** Whether all parts are there with their sizes; what is in them is looked at by `verify`. */
    whole: z.boolean(),
  })
  .meta({ id: 'Backup' });
const example = {
  id: '20250131t120000z-1f0c7c5a',
  madeAt: '2025-01-31T12:00:00.000Z',
  program: '0.1.0',
  lineage: '0195f1c5-26f0-4c5a-b49d-246f1a4c3f4a',
  events: 120034,
  head: '120034',
  sizeBytes: 24117248,
  whole: true,
};
const params = z.strictObject({ id: z.string().regex(BACKUP_ID) });
const keepBody = z.strictObject({
  keep: z.int().min(1).max(10_000).optional(),
  keepDays: z.int().min(1).max(36_500).optional(),
  dryRun: z.boolean().default(false),
});
const common = { tags: ['backups'], auth: 'bearer', action: 'administer' } as const;
const started = {
  202: { description: 'Begun', schema: operationSchema, example: { ...exampleOperation, kind: 'backup' } },
};

/** Backups: make, list, look at, verify, prune. They are restored by the command line, into an empty store. */
export function backupRoutes(backups: Backups | null, operations: Operations): Route[] {
  return [...readRoutes(backups), ...workRoutes(backups, operations), pruneRoute(backups)];
}

function needed(backups: Backups | null): Backups {
  if (backups === null) throw new Refusal('conflict', 'no place for backups is set: set BACKUP_STORE and start again');
  return backups;
}

function readRoutes(backups: Backups | null): Route[] {
  return [
    defineRoute({
      ...common,
      method: 'get',
      path: '/backups',
      operationId: 'listBackups',
      summary: 'All backups, the oldest first',
      problems: ['not-found', 'conflict', 'unavailable'],
      responses: {
        200: {
          description: 'All of them',
          schema: z.strictObject({ data: z.array(schema) }),
          example: { data: [example] },
        },
      },
      async handler(request) {
        await request.authorize({ project: '*', kind: 'backup' });
        return { body: { data: await needed(backups).list() } };
      },
    }),
    defineRoute({
      ...common,
      method: 'get',
      path: '/backups/{id}',
      operationId: 'getBackup',
      summary: 'One backup',
      params,
      problems: ['not-found', 'conflict', 'unavailable'],
      responses: { 200: { description: 'The backup', schema, example } },
      async handler(request) {
        await request.authorize({ project: '*', kind: 'backup' });
        const found = (await needed(backups).list()).find(({ id }) => id === request.params.id);
        if (found === undefined) throw new Refusal('not-found', 'there is no such backup');
        return { body: found };
      },
    }),
  ];
}

function workRoutes(backups: Backups | null, operations: Operations): Route[] {
  return [
    defineRoute({
      ...common,
      method: 'post',
      path: '/backups',
      operationId: 'createBackup',
      summary: 'Make a backup of the log as it is now, while everything goes on',
      problems: ['not-found', 'conflict', 'unavailable', 'rate-limited'],
      responses: started,
      async handler(request) {
        await request.authorize({ project: '*', kind: 'backup' });
        const on = needed(backups);
        const operation = await operations.start('backup', (report, signal) => on.create(report, signal));
        return { status: 202, body: operation, headers: { Location: `/api/v1/operations/${operation.id}` } };
      },
    }),
    defineRoute({
      ...common,
      method: 'post',
      path: '/backups/{id}/verify',
      operationId: 'verifyBackup',
      summary: 'Open a backup and hold all of it against its manifest and the signed checkpoints in it',
      params,
      problems: ['not-found', 'conflict', 'unavailable', 'rate-limited'],
      responses: started,
      async handler(request) {
        await request.authorize({ project: '*', kind: 'backup' });
        const { id } = request.params;
        const on = needed(backups);
        await on.get(id);
        const operation = await operations.start('backup-verify', (report, signal) => on.verify(id, report, signal));
        return { status: 202, body: operation, headers: { Location: `/api/v1/operations/${operation.id}` } };
      },
    }),
  ];
}

function pruneRoute(backups: Backups | null): Route {
  const pruned = z.strictObject({ dryRun: z.boolean(), removed: z.array(z.string()), kept: z.int() });
  return defineRoute({
    ...common,
    method: 'post',
    path: '/backups/prune',
    operationId: 'pruneBackups',
    summary: 'Remove backups that neither the count nor the age keeps; the newest whole one always stays',
    body: keepBody,
    bodyExample: { keep: 7, dryRun: true },
    problems: ['not-found', 'conflict', 'unavailable'],
    responses: {
      200: {
        description: 'What was removed, or would be',
        schema: pruned,
        example: { dryRun: true, removed: [example.id], kept: 7 },
      },
    },
    async handler(request) {
      await request.authorize({ project: '*', kind: 'backup' });
      const { keep, keepDays, dryRun } = request.body;
      const { removed, kept } = await needed(backups).prune({ count: keep, days: keepDays, dryRun });
      return { body: { dryRun, removed: [...removed], kept } };
    },
  });
}
