/** What monitors and tools read beside the API: health, metrics, the OpenAPI document. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Registry } from 'prom-client';
import { z } from 'zod';
import type { Actor } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import { defineRoute, type Route } from './route.ts';

export interface Readiness {
  readonly ready: boolean;
  /** By name of what was checked. `detail` never holds addresses or secrets. What only degrades may be false while ready. */
  readonly checks: Readonly<Record<string, { readonly ok: boolean; readonly detail?: string }>>;
}

export interface Health {
  /** Whether this process is worth keeping: nothing but its own loop. */
  live(): boolean;
  /** Bounded in time by whoever implements it; asked at every probe, so it answers from what is known. */
  ready(): Promise<Readiness>;
}

const checkSchema = z.strictObject({ ok: z.boolean(), detail: z.string().optional() });
const open = { auth: 'none', action: 'read', rateLimited: false, tags: ['system'], problems: ['unavailable'] } as const;

/**
 * @param document read when asked for: the document contains these routes too.
 * @param metricsToken a secret good for the metrics alone: Prometheus cannot renew a token that runs out.
 */
export function systemRoutes(
  health: Health,
  registry: Registry,
  document: () => object,
  metricsToken?: string,
): Route[] {
  return [...healthRoutes(health), metricsRoute(registry, metricsToken), documentRoute(document)];
}

function healthRoutes(health: Health): Route[] {
  return [
    defineRoute({
      ...open,
      method: 'get',
      path: '/health/live',
      operationId: 'getLiveness',
      summary: 'Whether the process runs',
      responses: {
        200: { description: 'It does', schema: z.strictObject({ live: z.literal(true) }), example: { live: true } },
      },
      handler() {
        if (!health.live()) throw new Refusal('unavailable', 'the process is stopping');
        return { body: { live: true } };
      },
    }),
    defineRoute({
      ...open,
      method: 'get',
      path: '/health/ready',
      operationId: 'getReadiness',
      summary: 'Whether requests can be served',
      responses: {
        200: {
          description: 'They can; a check that is not ok only degrades',
          schema: z.strictObject({ ready: z.literal(true), checks: z.record(z.string(), checkSchema) }),
          example: { ready: true, checks: { log: { ok: true }, vectors: { ok: false, detail: 'no answer for 12 s' } } },
        },
      },
      async handler() {
        const { ready, checks } = await health.ready();
        if (ready) return { body: { ready, checks } };
        const issues = Object.entries(checks)
          .filter(([, { ok }]) => !ok)
          .map(([name, { detail }]) => ({ pointer: name, code: 'not-ready', detail: detail ?? 'is not ready' }));
        throw new Refusal('unavailable', 'the service is not ready', { issues });
      },
    }),
  ];
}

function metricsRoute(registry: Registry, token: string | undefined): Route {
  return defineRoute({
    ...(token === undefined ? {} : { ownCredential: scraperWith(token) }),
    method: 'get',
    path: '/metrics',
    operationId: 'getMetrics',
    summary: 'Metrics in the Prometheus text format',
    tags: ['system'],
    auth: 'bearer',
    action: 'read',
    rateLimited: false,
    problems: ['not-found'],
    responses: {
      200: {
        description: 'All metrics of this process',
        schema: z.string(),
        example: '# TYPE http_request_duration_seconds histogram\n',
        contentType: registry.contentType,
      },
    },
    async handler(context) {
      await context.authorize({ project: '*', kind: 'metrics' });
      return { body: await registry.metrics() };
    },
  });
}

/** Compared by hashes, which takes the same time whatever was sent. */
function scraperWith(token: string): (authorization: string | undefined) => Actor | null {
  const hash = (text: string) => createHash('sha256').update(text).digest();
  const expected = hash(`Bearer ${token}`);
  const scraper: Actor = { kind: 'system', id: 'metrics', grants: [{ project: '*', role: 'viewer' }] };
  return (authorization) => (timingSafeEqual(hash(authorization ?? ''), expected) ? scraper : null);
}

function documentRoute(document: () => object): Route {
  return defineRoute({
    ...open,
    method: 'get',
    path: '/openapi.json',
    operationId: 'getOpenApi',
    summary: 'This document',
    problems: [],
    responses: {
      200: {
        description: 'OpenAPI 3.1',
        schema: z.record(z.string(), z.unknown()),
        example: { openapi: '3.1.0' },
      },
    },
    handler: () => ({ body: document(), headers: { 'Cache-Control': 'no-cache' } }),
  });
}
