/** A discussion among people with a fact in it, and a service that embeds. */
import { setTimeout as delay } from 'node:timers/promises';
import type { TestService } from '../api/serviceForTests.ts';
import { expected } from '../api/serviceScenes.ts';

/** Everything a process does, on the embedded database: its pgvector is there on every machine. */
export const EVERYTHING = { WORKER_ROLES: 'projector,relay,sweeper,turns,auditor,embedder', DATABASE_URL: '' };

export const FACT = 'The spare key of the boat house is hidden under the third flower pot behind the greenhouse.';

/** Talk of something else: no two alike. */
export function smallTalk(n: number): string {
  const subjects = ['The budget', 'Our timetable', 'The printer', 'The kitchen', 'Her report', 'The bus line'];
  const claims = ['needs another look', 'was better last year', 'costs too much', 'will be late', 'is nearly done'];
  return `${subjects[n % subjects.length]} ${claims[n % claims.length]}, I noted on page ${n}.`;
}

/** Opens a discussion in which turns are asked for by hand. @returns its id. */
export async function openQuiet(
  on: TestService,
  agentIds: readonly string[],
  title = 'Odds and ends',
): Promise<string> {
  const participants = agentIds.map((agentId) => ({ agentId }));
  const opened = await on.post('/discussions', {
    ...{ title, topic: 'Whatever comes up', participants },
    policy: { kind: 'manual' },
  });
  return expected(opened, 201).id;
}

/** Says something as the administrator. @returns the token of the write. */
export async function say(on: TestService, discussionId: string, content: string): Promise<string> {
  const said = await on.post(`/discussions/${discussionId}/messages`, { content });
  expected(said, 201);
  return said.headers.get('Consistency-Token') ?? '';
}

/** Waits until what was written up to a token can be found by its meaning. */
export async function embedded(on: TestService, token: string): Promise<void> {
  for (;;) {
    const found = await on.post(
      '/search',
      { query: 'anything', mode: 'semantic', limit: 1 },
      { 'Consistency-Token': token, Prefer: 'wait=20' },
    );
    if (found.status === 200) return;
    await delay(200);
  }
}

/** Texts that a search answers, best first. */
export async function search(on: TestService, body: Readonly<Record<string, unknown>>): Promise<string[]> {
  const { data } = expected(await on.post('/search', body), 200);
  return data.map((each) => (each['snippet'] as { text: string }).text);
}
