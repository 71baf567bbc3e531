/** Requests for every operation, each with what it needs made before. */
import type { TestService } from './serviceForTests.ts';
import {
  expected,
  quietDiscussion,
  turnIn,
  logOf,
  parkedDiscussion,
  shown,
  talkingDiscussion,
} from './serviceScenes.ts';

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

/** A request of that name, with what it needs. */
export const of = (
  prepare: (on: TestService) => Promise<Request> | Request,
  ...answers: readonly [number, number, number, number]
): Sample => ({ prepare, answers });
/** A request of that name, with what it needs. */
export const to = (method: string, path: string, body?: unknown): Request => ({
  method,
  path,
  ...(body === undefined ? {} : { body }),
});

/** A request on a discussion of people. */
export const onDiscussion = (method: string, path: string, body?: unknown) => async (on: TestService) => {
  const { id } = await quietDiscussion(on);
  return to(method, `/discussions/${id}${path}`, body);
};
/** Waits until the read model has everything: viewers ask without a Consistency-Token. */
export async function readable(on: TestService, path: string): Promise<void> {
  const headers = { 'Consistency-Token': `p${await on.service.running.storage.store.head()}`, Prefer: 'wait=10' };
  expected(await on.get(path, { headers }), 200);
}
/** A request of that name, with what it needs. */
export const firstParticipant = async (on: TestService, id: string): Promise<string> => {
  const { data } = expected(await on.get(`/discussions/${id}/participants`), 200);
  return String(data[0]?.['participantId']);
};

/** A request of that name, with what it needs. */
export async function requestTurn(on: TestService): Promise<Request> {
  const { id } = await quietDiscussion(on, { policy: { kind: 'manual' } });
  return to('POST', `/discussions/${id}/turns`, { participantId: await firstParticipant(on, id) });
}

/** A request of that name, with what it needs. */
export async function retryTurn(on: TestService): Promise<Request> {
  const { path, body } = await requestTurn(on);
  const turnId = turnIn(expected(await on.post(path, body), 201));
  expected(await on.post(`${path}/${turnId}/cancel`), 200);
  return to('POST', `${path}/${turnId}/retry`);
}

/** A request of that name, with what it needs. */
export async function aPrompt(on: TestService): Promise<Request> {
  const { id } = await talkingDiscussion(on, 1);
  await shown(on, `/discussions/${id}`, (body) => body['status'] === 'concluded');
  const [turn] = expected(await on.get(`/discussions/${id}/turns?atRevision=3`), 200).data;
  return to('GET', `/discussions/${id}/turns/${String(turn?.['turnId'])}/prompt`);
}

/** A request of that name, with what it needs. */
export async function aComparison(on: TestService): Promise<Request> {
  const { id } = await quietDiscussion(on);
  const fork = expected(await on.post(`/discussions/${id}/fork`, { atRevision: 1 }), 201);
  return to('GET', `/discussions/${id}/diff?with=${fork.id}`);
}

/** A request of that name, with what it needs. */
export async function anOperation(on: TestService, method: string): Promise<Request> {
  const { id } = expected(await on.post('/models/pull', { name: 'smollm2:135m' }), 202);
  return to(method, `/operations/${id}`);
}

/** A letter as a runner writes it, for a discussion of its own. */
export async function aDeadLetter(on: TestService, method: string, path: string, body?: unknown): Promise<Request> {
  const { id } = await quietDiscussion(on);
  const letterId = await parkedDiscussion(on, id);
  return to(method, `/dead-letters/${letterId}${path}`, body);
}

/** A request of that name, with what it needs. */
export async function anEvent(on: TestService): Promise<Request> {
  const [event] = await logOf(on, (await quietDiscussion(on)).id);
  return to('GET', `/events/${String(event?.['id'])}/trace`);
}

/** A request of that name, with what it needs. */
export async function aCorrelation(on: TestService): Promise<Request> {
  const headers = { 'Correlation-Id': `teatime.${await on.service.running.storage.store.head()}` };
  expected(await on.post('/discussions', { title: 'Tea', topic: 'Tea?' }, headers), 201);
  await on.service.running.reads.waitFor(await on.service.running.storage.store.head(), ['commands'], {
    timeoutMs: 10_000,
    signal: new AbortController().signal,
  });
  return to('GET', `/traces?id=${headers['Correlation-Id']}`);
}

/** The id of a backup that was made just now. */
export async function aBackup(on: TestService): Promise<string> {
  for (;;) {
    const [newest] = expected(await on.get('/backups'), 200).data;
    if (newest !== undefined) return String(newest['id']);
    await on.post('/backups');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
