/** Every operation of the API with a good request, and what it answers to whom. */
import type { TestService } from './serviceForTests.ts';
import {
  of,
  to,
  onDiscussion,
  readable,
  firstParticipant,
  requestTurn,
  retryTurn,
  aPrompt,
  aComparison,
  anOperation,
  aDeadLetter,
  anEvent,
  aCorrelation,
  aBackup,
  type Request,
  type Sample,
} from './operationScenes.ts';
import { agentAt, agentBody, expected, quietDiscussion, turnIn, UNKNOWN } from './serviceScenes.ts';

const MODEL = '/models/smollm2%3A135m';

/** With something in the log that a checkpoint covers. */
const covered = (method: string, path: string) => async (on: TestService) => {
  await quietDiscussion(on);
  expected(await on.post('/audit/checkpoints'), 201);
  return to(method, path);
};

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
  forkDiscussion: of(onDiscussion('POST', '/fork', { atRevision: 1 }), 401, 403, 404, 201),
  getLineage: of(onDiscussion('GET', '/lineage'), 401, 200, 404, 200),
  compareDiscussions: of(aComparison, 401, 200, 404, 200),
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
  getPrompt: of(aPrompt, 401, 200, 404, 200),
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
  search: of(() => to('POST', '/search', { query: 'tea', mode: 'keyword' }), 401, 200, 200, 200),
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
  replayDiscussion: of(onDiscussion('GET', '/replay?speed=0'), 401, 200, 404, 200),
  streamProject: of(() => to('GET', '/stream'), 401, 200, 404, 200),
  createStreamTicket: of(() => to('POST', '/stream-tickets', { path: '/api/v1/stream' }), 401, 201, 201, 201),
  listModels: of(() => to('GET', '/models'), 401, 200, 200, 200),
  listRunningModels: of(() => to('GET', '/models/running'), 401, 200, 200, 200),
  getModel: of(() => to('GET', MODEL), 401, 200, 200, 200),
  pullModel: of(() => to('POST', '/models/pull', { name: 'smollm2:135m' }), 401, 404, 404, 202),
  deleteModel: of(() => to('DELETE', MODEL), 401, 404, 404, 204),
  listOperations: of(() => to('GET', '/operations'), 401, 404, 404, 200),
  getOperation: of((on) => anOperation(on, 'GET'), 401, 404, 404, 200),
  cancelOperation: of((on) => anOperation(on, 'DELETE'), 401, 404, 404, 202),
  listProjections: of(() => to('GET', '/projections'), 401, 404, 404, 200),
  listBackups: of(() => to('GET', '/backups'), 401, 404, 404, 200),
  createBackup: of(() => to('POST', '/backups'), 401, 404, 404, 202),
  getBackup: of(async (on) => to('GET', `/backups/${await aBackup(on)}`), 401, 404, 404, 200),
  verifyBackup: of(async (on) => to('POST', `/backups/${await aBackup(on)}/verify`), 401, 404, 404, 202),
  pruneBackups: of(() => to('POST', '/backups/prune', { keep: 9, dryRun: true }), 401, 404, 404, 200),
  getProjection: of(() => to('GET', '/projections/discussions'), 401, 404, 404, 200),
  rebuildProjections: of(
    () => to('POST', '/projections/rebuild', { names: ['turns', 'usage'], dryRun: true }),
    401,
    404,
    404,
    200,
  ),
  rebuildProjection: of(() => to('POST', '/projections/commands/rebuild', { fast: true }), 401, 404, 404, 202),
  // Success takes a rebuild first: `rebuild.test.ts` has it.
  rollbackProjection: of(() => to('POST', '/projections/agents/rollback'), 401, 404, 404, 409),
  diffProjection: of(() => to('POST', '/projections/messages/diff'), 401, 404, 404, 202),
  pauseProjection: of(() => to('POST', '/projections/usage/pause'), 401, 404, 404, 200),
  resumeProjection: of(() => to('POST', '/projections/usage/resume'), 401, 404, 404, 200),
  dropProjectionVersion: of(() => to('DELETE', '/projections/usage/versions/1'), 401, 404, 404, 409),
  listDeadLetters: of(() => to('GET', '/dead-letters'), 401, 404, 404, 200),
  getDeadLetter: of((on) => aDeadLetter(on, 'GET', ''), 401, 404, 404, 200),
  retryDeadLetter: of((on) => aDeadLetter(on, 'POST', '/retry'), 401, 404, 404, 200),
  skipDeadLetter: of((on) => aDeadLetter(on, 'POST', '/skip', { reason: 'spoiled' }), 401, 404, 404, 200),
  getStatus: of(() => to('GET', '/status'), 401, 404, 404, 200),
  listOpenTurns: of(() => to('GET', '/turns'), 401, 200, 200, 200),
  traceEvent: of(anEvent, 401, 200, 404, 200),
  traceRequest: of(aCorrelation, 401, 200, 404, 200),
  listCheckpoints: of(covered('GET', '/audit/checkpoints'), 401, 404, 404, 200),
  makeCheckpoint: of(covered('POST', '/audit/checkpoints'), 401, 404, 404, 201),
  proveEvent: of(covered('GET', '/audit/proof?position=1'), 401, 404, 404, 200),
  proveConsistency: of(
    async (on) => {
      const { path } = await covered('GET', '/audit/checkpoints')(on);
      const size = String(expected(await on.get(path), 200).data[0]?.['size']);
      return to('GET', `/audit/consistency?from=${size}&to=${size}`);
    },
    401,
    404,
    404,
    200,
  ),
  getAuditKey: of(() => to('GET', '/audit/key'), 401, 404, 404, 200),
  verifyLog: of(() => to('POST', '/audit/verify'), 401, 404, 404, 202),
  exportDiscussion: of(onDiscussion('GET', '/export'), 401, 200, 404, 200),
  exportEvents: of(() => to('GET', '/events/export'), 401, 404, 404, 200),
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
