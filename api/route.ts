/** A route is data: its schemas validate requests, type its handler, and become the OpenAPI document. */
import type { Request, Response } from 'express';
import { z } from 'zod';
import type { Action, Actor } from '../domain/ports.ts';
import { Refusal, type RefusalCode, type RefusalIssue } from '../domain/refusal.ts';
import { issuesOf, type Place } from './problem.ts';

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';

/** `bearer`: a token. `stream`: a token or a one-use `?ticket=`; no deadline. `none`: anybody. */
export type RouteAuth = 'bearer' | 'stream' | 'none';

/** What a handler is given beside its own params, query and body. */
export interface RequestContext {
  /** Who asks; `anonymousActor` where the route needs no token. */
  readonly actor: Actor;
  /** Wall-clock ms when the token runs out (a stream must end then), null when it never does. */
  readonly expiresAt: number | null;
  readonly requestId: string;
  readonly correlationId: string;
  readonly traceparent: string | undefined;
  /** POST and PATCH only. */
  readonly idempotencyKey: string | undefined;
  /** Revision of `If-Match`. */
  readonly ifMatch: number | undefined;
  /** GET only, opaque. */
  readonly consistencyToken: string | undefined;
  /** How long this read may wait for its projection. */
  readonly preferWaitMs: number;
  /** The body as it was sent, before the schema's defaults and trims: what a hash of the request is taken of. */
  readonly rawBody: unknown;
  /** Aborted when the client leaves or the request's deadline has passed. */
  readonly signal: AbortSignal;
  /**
   * Whether the actor may do the route's action to the object, once its project is known.
   * @throws Refusal `not-found` when they may not even read it (a foreign id tells nothing), else `forbidden`.
   */
  readonly authorize: (object: { project: string; kind: string; id?: string }) => Promise<void>;
  /** For streams, which write their own answer. */
  readonly req: Request;
  readonly res: Response;
}

/** @property status the route's first response when absent. @property revision becomes `ETag: "r<revision>"`. */
export interface Answer {
  readonly status?: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly revision?: number;
  readonly consistencyToken?: string;
  /** The command was done before under the same Idempotency-Key. */
  readonly replayed?: boolean;
}

export interface ResponseSpec {
  readonly description: string;
  /** None: the answer has no body. */
  readonly schema?: z.ZodType;
  readonly example?: unknown;
  /** `application/json` unless said. */
  readonly contentType?: string;
}

interface RouteFacts {
  readonly method: Method;
  /** Below the mount point, with `{name}` for parameters. */
  readonly path: string;
  /** camelCase, unique. */
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  /** By status; the first is the default. */
  readonly responses: Readonly<Record<number, ResponseSpec>>;
  /** Beyond those every route of its kind has (openapi.ts adds them). */
  readonly problems: readonly RefusalCode[];
  readonly auth: RouteAuth;
  readonly action: Action;
  /** A POST that changes nothing: what it asks is too long for a URL, and URLs are logged. */
  readonly readsByPost?: boolean;
  /** False for what monitors ask all the time. */
  readonly rateLimited?: boolean;
  /** Who comes with a credential of this route's own beside tokens; null for everybody else. */
  readonly ownCredential?: (authorization: string | undefined) => Actor | null;
}

type Shape = z.ZodType<Record<string, unknown>>;
type None = z.ZodObject<Record<never, never>, z.core.$strict>;

export interface RouteDefinition<P extends Shape, Q extends Shape, B extends z.ZodType> extends RouteFacts {
  readonly params?: P;
  readonly query?: Q;
  /** Request headers of its own, for the document only; common ones are added by openapi.ts. */
  readonly headers?: Shape;
  readonly body?: B;
  readonly bodyExample?: z.input<B>;
  /** @returns the answer, or null when it wrote (or is writing) to `res` itself. */
  handler: (
    context: RequestContext & { params: z.output<P>; query: z.output<Q>; body: z.output<B> },
  ) => Promise<Answer | null> | Answer | null;
}

export interface Inputs {
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
}

/** A route whose types are known only to itself. */
export interface Route extends RouteFacts {
  readonly params: Shape | undefined;
  readonly query: Shape | undefined;
  readonly headers: Shape | undefined;
  readonly body: z.ZodType | undefined;
  readonly bodyExample: unknown;
  /** Validates, then runs the handler. @throws Refusal `invalid` with every issue found. */
  handle(context: RequestContext, inputs: Inputs): Promise<Answer | null>;
}

/** Whether it may be repeated under one key: what is put or deleted is the same twice by itself. */
export function takesIdempotencyKey(route: Pick<RouteFacts, 'method' | 'readsByPost'>): boolean {
  return (route.method === 'post' || route.method === 'patch') && !onlyReads(route);
}

/** Whether a request can only read: it takes a Consistency-Token, and no Idempotency-Key. */
export function onlyReads({ method, readsByPost }: Pick<RouteFacts, 'method' | 'readsByPost'>): boolean {
  return method === 'get' || readsByPost === true;
}

const nothing = z.strictObject({});

/**
 * @throws Error at definition time when a schema would let unknown fields through, when path and params disagree, or
 * when a response with a body has no example.
 */
export function defineRoute<P extends Shape = None, Q extends Shape = None, B extends z.ZodType = z.ZodUndefined>(
  definition: RouteDefinition<P, Q, B>,
): Route {
  const { params, query, headers, body, bodyExample } = definition;
  requireSound(definition);
  return {
    ...definition,
    params,
    query,
    headers,
    body,
    bodyExample,
    async handle(context, inputs) {
      const issues: RefusalIssue[] = [];
      const values = {
        params: parsed<P>(params, inputs.params, 'path', issues),
        query: parsed<Q>(query, inputs.query, 'query', issues),
        body: parsed<B>(body, inputs.body, 'body', issues),
      };
      if (issues.length > 0)
        throw new Refusal('invalid', 'the request does not have the form this route takes', { issues });
      return await definition.handler(Object.assign(context, values));
    },
  };
}

function parsed<S extends z.ZodType>(schema: S | undefined, value: unknown, place: Place, issues: RefusalIssue[]) {
  // Without a schema an empty object passes, and for a body nothing at all too.
  const result = (schema ?? (place === 'body' ? nothing.optional() : nothing)).safeParse(value);
  if (!result.success) issues.push(...issuesOf(result.error, place));
  return result.data as z.output<S>;
}

/** Names of a path's parameters. */
export function pathParameters(path: string): string[] {
  return [...path.matchAll(/\{([a-zA-Z]+)\}/g)].map((match) => match[1] ?? '');
}

function requireSound(route: Omit<RouteDefinition<Shape, Shape, z.ZodType>, 'handler'>): void {
  const complain = (what: string): never => {
    throw new Error(`route ${route.operationId}: ${what}`);
  };
  const declared = route.params instanceof z.ZodObject ? Object.keys(route.params.shape).sort() : [];
  if (declared.join() !== pathParameters(route.path).sort().join())
    complain('params and path name different parameters');
  for (const schema of [route.params, route.query, route.body])
    if (schema && isLoose(schema)) complain('a schema is not strict');
  if (route.body && (route.method === 'get' || route.method === 'delete')) complain(`${route.method} takes no body`);
  if (route.body && route.bodyExample === undefined) complain('the body has no example');
  const responses = Object.entries(route.responses);
  if (responses.length === 0) complain('no response');
  for (const [status, { schema, example }] of responses)
    if (schema && example === undefined) complain(`response ${status} has no example`);
}

/** Whether some object in a schema lets unknown fields through (an attacker's `role` or `projectId` among them). */
function isLoose(schema: unknown): boolean {
  if (schema instanceof z.ZodObject)
    return !(schema.def.catchall instanceof z.ZodNever) || Object.values(schema.shape).some(isLoose);
  if (schema instanceof z.ZodArray) return isLoose(schema.element);
  if (schema instanceof z.ZodUnion) return schema.options.some(isLoose);
  if (schema instanceof z.ZodPipe) return isLoose(schema.in) || isLoose(schema.out);
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable || schema instanceof z.ZodDefault)
    return isLoose(schema.unwrap());
  return false;
}
