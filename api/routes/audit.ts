import { z } from 'zod';
import type { Evidence } from '../../domain/audit/evidence.ts';
import { originOf, type Signer, verifierKey } from '../../domain/audit/note.ts';
import { proveBetween, provePosition } from '../../domain/audit/prove.ts';
import { verifyLog } from '../../domain/audit/verifyLog.ts';
import type { ApiContext } from '../context.ts';
import type { Operations } from '../operations.ts';
import { queryInteger, queryPosition } from '../queryValues.ts';
import { defineRoute, type RequestContext, type Route } from '../route.ts';
import {
  checkpointOnTheWire,
  checkpointSchema,
  exampleCheckpoint,
  exampleHash,
  exampleNote,
  hex,
} from '../resources/checkpoint.ts';
import { checkpointRoutes } from './checkpoints.ts';
import { exampleOperation, operationSchema } from './operations.ts';

/** The evidence of the log, and whose signatures count. */
export interface ApiAudit {
  readonly evidence: Evidence;
  readonly signer: Signer;
  /** Public keys of earlier signers. */
  readonly trusted: readonly Uint8Array[];
}

const proofSchema = z
  .strictObject({
    position: z.string(),
    index: z.int(),
    leaf: z.string(),
    /** The leaf before, which this one is made of. */
    previous: z.string(),
    /** RFC 9162, from the bottom up. */
    path: z.array(z.string()),
    checkpoint: checkpointSchema,
  })
  .meta({ id: 'InclusionProof' });
const consistencySchema = z
  .strictObject({ first: z.string(), second: z.string(), path: z.array(z.string()) })
  .meta({ id: 'ConsistencyProof' });
const keySchema = z
  .strictObject({ origin: z.string(), publicKey: z.string(), trusted: z.array(z.string()) })
  .meta({ id: 'AuditKeys' });

const common = { tags: ['audit'], auth: 'bearer', problems: ['not-found'] } as const;
/** Between two looks at the rest of the process while a log is verified: half of the time is others'. */
const BREATHE_MS = 20;

/** Proof that history was not changed: checkpoints, proofs, verification. For who may read every project. */
export function auditRoutes(ctx: ApiContext, audit: ApiAudit, operations: Operations): Route[] {
  const object = { project: '*', kind: 'audit' };
  return [
    ...checkpointRoutes(ctx, audit),
    ...proofRoutes(audit),
    defineRoute({
      ...common,
      method: 'get',
      path: '/audit/key',
      operationId: 'getAuditKey',
      summary: 'The public key that checkpoints are signed with, and earlier ones that count',
      action: 'read',
      responses: {
        200: {
          description: 'Verifier keys (C2SP signed-note)',
          schema: keySchema,
          example: {
            origin: exampleNote.slice(0, exampleNote.indexOf('\n')),
            publicKey: `colloquy/…+9c9c9c9c+AQ…`,
            trusted: [],
          },
        },
      },
      async handler(request) {
        await request.authorize(object);
        const origin = originOf(await ctx.engine.store.lineage());
        const shown = (key: Uint8Array) => verifierKey(origin, key);
        return { body: { origin, publicKey: shown(audit.signer.publicKey), trusted: audit.trusted.map(shown) } };
      },
    }),
    defineRoute({
      ...common,
      method: 'post',
      path: '/audit/verify',
      operationId: 'verifyLog',
      summary: 'Verify the whole log against its evidence; checkpoints that you have kept may be given too',
      action: 'read',
      body: z
        .strictObject({ checkpoints: z.array(z.string().max(10_000)).max(100).default([]) })
        .default({ checkpoints: [] }),
      bodyExample: { checkpoints: [exampleNote] },
      responses: {
        202: {
          description: 'Begun; the result names the first bad event',
          schema: operationSchema,
          example: exampleOperation,
        },
      },
      async handler(request) {
        await request.authorize(object);
        const { checkpoints } = request.body;
        const operation = await operations.start('verify-log', (report, signal) =>
          verifyWhole(ctx, audit, checkpoints, report, signal),
        );
        return { body: operation, headers: { Location: `/api/v1/operations/${operation.id}` } };
      },
    }),
  ];
}

function verifyWhole(
  { engine }: ApiContext,
  { evidence, signer, trusted }: ApiAudit,
  outside: readonly string[],
  report: (done: number, total: number, note: string) => void,
  signal: AbortSignal,
) {
  const { clock, store } = engine;
  let lookedAt = clock.monotonic();
  return verifyLog({
    store,
    evidence,
    keys: [signer.publicKey, ...trusted],
    outside,
    signal,
    report: (done, total) => report(done, total, 'verifying'),
    async breathe() {
      const workedMs = clock.monotonic() - lookedAt;
      if (workedMs < BREATHE_MS) return;
      await clock.sleep(workedMs, signal);
      lookedAt = clock.monotonic();
    },
  });
}

function proofRoutes({ evidence }: ApiAudit): Route[] {
  const authorize = (request: RequestContext) => request.authorize({ project: '*', kind: 'audit' });
  return [
    defineRoute({
      ...common,
      method: 'get',
      path: '/audit/proof',
      operationId: 'proveEvent',
      summary: 'That the event at a position is in the log, under the newest checkpoint',
      action: 'read',
      query: z.strictObject({ position: queryPosition() }),
      responses: {
        200: {
          description: 'An inclusion proof (RFC 9162)',
          schema: proofSchema,
          example: {
            ...{ position: '1', index: 0, leaf: exampleHash, previous: '0'.repeat(64) },
            ...{ path: [exampleHash], checkpoint: exampleCheckpoint },
          },
        },
      },
      async handler(request) {
        await authorize(request);
        const { index, entry, previous, path, signed } = await provePosition(evidence, BigInt(request.query.position));
        const { leaf } = entry;
        const proof = { position: entry.position.toString(), index, leaf, previous, path: path.map(hex) };
        return { body: { ...proof, checkpoint: checkpointOnTheWire(signed) } };
      },
    }),
    defineRoute({
      ...common,
      method: 'get',
      path: '/audit/consistency',
      operationId: 'proveConsistency',
      summary: 'That the log of one checkpoint is the beginning of another one’s',
      action: 'read',
      query: z.strictObject({ from: queryInteger(1, 2 ** 48), to: queryInteger(1, 2 ** 48) }),
      responses: {
        200: {
          description: 'A consistency proof (RFC 9162) between two notes',
          schema: consistencySchema,
          example: { first: exampleNote, second: exampleNote, path: [exampleHash] },
        },
      },
      async handler(request) {
        await authorize(request);
        const { from, to } = request.query;
        const { first, second, path } = await proveBetween(evidence, from, to);
        return { body: { first, second, path: path.map(hex) } };
      },
    }),
  ];
}
