/** Every operation of the API with a good request, and what it answers to whom. */
import type { TestService } from './serviceForTests.ts';
import { agentAt, agentBody, expected, quietDiscussion, turnIn, UNKNOWN } from './serviceScenes.ts';

export interface Request {
  readonly method: string;
  /** As `call` takes it. */
  readonly path: string;
  readonly body?: unknown;
}

export interface Sample {
  /** Made once; asked of by everybody, the administrator last. */
  readonly prepare: (on: TestService) => Promise<Request> | Request;
  /** Statuses: without a token, for a viewer of the project, a viewer of another one, the administrator. */
  readonly answers: readonly [number, number, number, number];
}

const of = (
  prepare: (on: TestService) => Promise<Request> | Request,
  ...answers: readonly [number, number, number, number]
): Sample => ({ prepare, answers });
const to = (method: string, path: string, body?: unknown): Request => ({
  method,
  path,
  ...(body === undefined ? {} : { body }),
});

/** A request on a discussion of people. */
const onDiscussion = (method: string, path: string, body?: unknown) => async (on: TestService) => {
  const { id } = await quietDiscussion(on);
  return to(method, `/discussions/${id}${path}`, body);
};
/** Waits until the read model has everything: viewers ask without a Consistency-Token. */
async function readable(on: TestService, path: string): Promise<void> {
  const headers = { 'Consistency-Token': `p${await on.service.running.storage.store.head()}`, Prefer: 'wait=10' };
  expected(await on.get(path, { headers }), 200);
}
const firstParticipant = async (on: TestService, id: string): Promise<string> => {
  const { data } = expected(await on.get(`/discussions/${id}/participants`), 200);
  return String(data[0]?.['participantId']);
};

async function requestTurn(on: TestService): Promise<Request> {
  const { id } = await quietDiscussion(on, { policy: { kind: 'manual' } });
  return to('POST', `/discussions/${id}/turns`, { participantId: await firstParticipant(on, id) });
}

async function retryTurn(on: TestService): Promise<Request> {
  const { path, body } = await requestTurn(on);
  const turnId = turnIn(expected(await on.post(path, body), 201));
  expected(await on.post(`${path}/${turnId}/cancel`), 200);
  return to('POST', `${path}/${turnId}/retry`);
}

async function anOperation(on: TestService, method: string): Promise<Request> {
  const { id } = expected(await on.post('/models/pull', { name: 'smollm2:135m' }), 202);
  return to(method, `/operations/${id}`);
}

const MODEL = '/models/smollm2%3A135m';

/** By operationId. */
export const everyOperation: Readonly<Record<string, Sample>> = {
  registerAgent: of(() => to('POST', '/agents', agentBody), 401, 403, 403, 201),
  listAgents: of(() => to('GET', '/agents'), 401, 200, 200, 200),
  getAgent: of(
    async (on) => {
      const id = await agentAt(on);
      await readable(on, '/agents');
      return to('GET', `/agents/${id}`);
    },
    401,
    200,
    404,
    200,
  ),
  reviseAgent: of(async (on) => to('PATCH', `/agents/${await agentAt(on)}`, { name: 'Bea' }), 401, 403, 404, 200),
  retireAgent: of(async (on) => to('DELETE', `/agents/${await agentAt(on)}`), 401, 403, 404, 200),
  openDiscussion: of(() => to('POST', '/discussions', { title: 'Tea', topic: 'Tea?' }), 401, 403, 403, 201),
  listDiscussions: of(() => to('GET', '/discussions'), 401, 200, 200, 200),
  getDiscussion: of(onDiscussion('GET', ''), 401, 200, 404, 200),
  changeDiscussion: of(onDiscussion('PATCH', '', { limits: { maxTurns: 9 } }), 401, 403, 404, 200),
  pauseDiscussion: of(onDiscussion('POST', '/pause'), 401, 403, 404, 200),
  resumeDiscussion: of(
    async (on) => to('POST', `/discussions/${(await quietDiscussion(on, { autostart: false })).id}/resume`),
    401,
    403,
    404,
    200,
  ),
  concludeDiscussion: of(onDiscussion('POST', '/conclude', { reason: 'decided' }), 401, 403, 404, 200),
  joinDiscussion: of(onDiscussion('POST', '/participants', { userId: 'hopper' }), 401, 403, 404, 201),
  listParticipants: of(onDiscussion('GET', '/participants'), 401, 200, 404, 200),
  leaveDiscussion: of(
    async (on) => {
      const { id } = await quietDiscussion(on);
      return to('DELETE', `/discussions/${id}/participants/${await firstParticipant(on, id)}`);
    },
    401,
    403,
    404,
    200,
  ),
  postMessage: of(onDiscussion('POST', '/messages', { content: 'Hello.' }), 401, 403, 404, 201),
  listMessages: of(onDiscussion('GET', '/messages'), 401, 200, 404, 200),
  listTurns: of(onDiscussion('GET', '/turns'), 401, 200, 404, 200),
  getTurn: of(
    async (on) => {
      const opened = await quietDiscussion(on);
      await readable(on, `/discussions/${opened.id}/turns`);
      return to('GET', `/discussions/${opened.id}/turns/${turnIn(opened)}`);
    },
    401,
    200,
    404,
    200,
  ),
  requestTurn: of(requestTurn, 401, 403, 404, 201),
  cancelTurn: of(
    async (on) => {
      const opened = await quietDiscussion(on);
      return to('POST', `/discussions/${opened.id}/turns/${turnIn(opened)}/cancel`);
    },
    401,
    403,
    404,
    200,
  ),
  retryTurn: of(retryTurn, 401, 403, 404, 201),
  getUsage: of(onDiscussion('GET', '/usage'), 401, 200, 404, 200),
  listDiscussionEvents: of(onDiscussion('GET', '/events'), 401, 200, 404, 200),
  listEvents: of(() => to('GET', '/events'), 401, 404, 404, 200),
  streamDiscussion: of(
    async (on) => {
      const { id } = await quietDiscussion(on);
      const { revision } = expected(await on.post(`/discussions/${id}/conclude`), 200);
      // Ended and seen: answered at once, without a stream.
      return to('GET', `/discussions/${id}/stream?after=${revision}`);
    },
    401,
    204,
    404,
    204,
  ),
  streamProject: of(() => to('GET', '/stream'), 401, 200, 404, 200),
  createStreamTicket: of(() => to('POST', '/stream-tickets', { path: '/api/v1/stream' }), 401, 201, 201, 201),
  listModels: of(() => to('GET', '/models'), 401, 200, 200, 200),
  listRunningModels: of(() => to('GET', '/models/running'), 401, 200, 200, 200),
  getModel: of(() => to('GET', MODEL), 401, 200, 200, 200),
  pullModel: of(() => to('POST', '/models/pull', { name: 'smollm2:135m' }), 401, 404, 404, 202),
  deleteModel: of(() => to('DELETE', MODEL), 401, 404, 404, 204),
  getOperation: of((on) => anOperation(on, 'GET'), 401, 404, 404, 200),
  cancelOperation: of((on) => anOperation(on, 'DELETE'), 401, 404, 404, 202),
  listProjections: of(() => to('GET', '/projections'), 401, 404, 404, 200),
  getProjection: of(() => to('GET', '/projections/discussions'), 401, 404, 404, 200),
  getMe: of(() => to('GET', '/auth/me'), 401, 200, 200, 200),
  getLiveness: of(() => to('GET', '//health/live'), 200, 200, 200, 200),
  getReadiness: of(() => to('GET', '//health/ready'), 200, 200, 200, 200),
  getMetrics: of(() => to('GET', '//metrics'), 401, 404, 404, 200),
  getOpenApi: of(() => to('GET', '//openapi.json'), 200, 200, 200, 200),
};

/** Operations whose path names a resource, with an id that is not there. */
export function elsewhere({ method, path, body }: Request): Request | null {
  const unknown = path.replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/, UNKNOWN);
  return unknown === path ? null : to(method, unknown, body);
}
