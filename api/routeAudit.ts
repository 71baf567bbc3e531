/** Whether the document tells the truth: what express serves against what OpenAPI says. */
import type { Router } from 'express';
import type { Api } from './server.ts';

/**
 * Compares the routers' own tables (not the list they were made from) with the document, in both directions, and asks
 * of every operation a problem response, an example for every body, and a summary.
 * @returns one sentence per discrepancy; empty when there is none.
 */
export function auditRoutes({ routers, openapi }: Pick<Api, 'routers' | 'openapi'>): string[] {
  const served = new Set(routers.flatMap(({ prefix, router }) => servedBy(router, prefix)));
  const documented = new Map<string, object>();
  for (const [path, item] of Object.entries(openapi.paths ?? {}))
    for (const [method, operation] of Object.entries(item as Record<string, object>))
      documented.set(`${method.toUpperCase()} ${path}`, operation);
  const faults = [
    ...[...served].filter((route) => !documented.has(route)).map((route) => `${route} is served but not documented`),
    ...[...documented.keys()]
      .filter((route) => !served.has(route))
      .map((route) => `${route} is documented but not served`),
  ];
  for (const [route, operation] of documented) faults.push(...faultsOf(route, operation));
  return faults;
}

function servedBy(router: Router, prefix: string): string[] {
  return router.stack.flatMap(({ route }) => {
    if (route === undefined) return [];
    const path = prefix + route.path.replaceAll(/:([a-zA-Z]+)/g, '{$1}');
    // `all`, which answers 405, has no method of its own.
    const methods = new Set(route.stack.flatMap(({ method }) => (method === undefined ? [] : [method.toUpperCase()])));
    return [...methods].map((method) => `${method} ${path}`);
  });
}

interface Content {
  readonly content?: Record<string, { readonly example?: unknown; readonly examples?: object }>;
}

function faultsOf(route: string, operation: object): string[] {
  const {
    summary,
    operationId,
    requestBody,
    responses = {},
  } = operation as {
    summary?: string;
    operationId?: string;
    requestBody?: Content;
    responses?: Record<string, Content>;
  };
  const faults: string[] = [];
  if (!summary || !operationId) faults.push(`${route} has no summary or operationId`);
  const contents = [requestBody, ...Object.values(responses)].flatMap((one) => Object.entries(one?.content ?? {}));
  if (!contents.some(([type]) => type === 'application/problem+json')) faults.push(`${route} documents no problem`);
  for (const [type, { example, examples }] of contents)
    if (example === undefined && examples === undefined)
      faults.push(`${route} has a body of ${type} without an example`);
  return faults;
}
