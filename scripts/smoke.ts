/**
 * `npm run smoke -- --url U --token T`: tries a running installation from outside, with the built-in offline model: a
 * discussion is held, streamed, read and replayed. Exit code 0 when all of it is as it should be.
 */
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { createRemote, type Frame, type Remote } from './remote.ts';

const TURNS = 4;
const HELD_WITHIN_MS = 120_000;

interface WireEvent {
  readonly type: string;
  readonly revision: number;
  readonly data: { readonly content?: readonly { readonly text: string }[] };
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { url: { type: 'string' }, token: { type: 'string' } } });
  const { url, token } = values;
  if (url === undefined || token === undefined)
    throw new Error('usage: npm run smoke -- --url http://127.0.0.1:4400 --token <access token>');
  const remote = createRemote(url, token);
  await step('ready', () => ready(url));
  const id = await step('agents and discussion', () => open(remote));
  const streamed = await step(`${TURNS} turns held and streamed`, () => streamToEnd(remote, id));
  const said = textsOf(streamed);
  await step('read: discussion, turns and messages as streamed', () => read(remote, id, said));
  await step('replayed: the log, and the stream from its start, are what was streamed', () =>
    replay(remote, id, streamed),
  );
  console.log(`ok: ${streamed.length} events, ${said.length} messages`);
}

async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  const started = performance.now();
  try {
    const result = await work();
    console.log(`ok    ${name}  (${Math.round(performance.now() - started)} ms)`);
    return result;
  } catch (error) {
    console.log(`FAIL  ${name}`);
    throw error;
  }
}

async function ready(url: string): Promise<void> {
  const answer = await fetch(new URL('/health/ready', url), { signal: AbortSignal.timeout(5_000) });
  if (!answer.ok) throw new Error(`/health/ready answered ${answer.status}: ${await answer.text()}`);
}

async function open(remote: Remote): Promise<string> {
  const participants: { agentId: string }[] = [];
  for (const name of ['Ada', 'Basil']) {
    const body = { name, instructions: `You are ${name}. Be brief.`, model: { provider: 'offline', name: 'offline' } };
    const { id } = await remote.call<{ id: string }>('POST', '/agents', { body });
    participants.push({ agentId: id });
  }
  const body = { title: 'Smoke', topic: 'Is everything in its place?', participants, limits: { maxTurns: TURNS } };
  const headers = { 'idempotency-key': `smoke-${process.pid}-${Date.now()}` };
  const first = await remote.call<{ id: string }>('POST', '/discussions', { body, headers });
  const again = await remote.call<{ id: string }>('POST', '/discussions', { body, headers });
  if (again.id !== first.id) throw new Error('a repeated request opened a second discussion');
  return first.id;
}

/** Durable frames from the start to `end`; deltas must come, too. */
async function streamToEnd(remote: Remote, id: string, deltas = true): Promise<WireEvent[]> {
  const events: WireEvent[] = [];
  let seen = 0;
  for await (const frame of remote.stream(`/discussions/${id}/stream`, {
    signal: AbortSignal.timeout(HELD_WITHIN_MS),
  })) {
    if (frame.event === 'delta') seen += 1;
    if (frame.id !== undefined) events.push(checked(frame, events.length));
    if (frame.event === 'end') {
      if (deltas && seen === 0) throw new Error('no live text came through the stream');
      return events;
    }
  }
  throw new Error('the stream ended before the discussion');
}

function checked(frame: Frame, revision: number): WireEvent {
  if (frame.id !== String(revision)) throw new Error(`event ${frame.id} came where ${revision} was due`);
  return frame.data as WireEvent;
}

function textsOf(events: readonly WireEvent[]): string[] {
  const texts = events.filter(({ type }) => type === 'TurnCompleted').map(({ data }) => data.content?.[0]?.text ?? '');
  if (texts.length !== TURNS) throw new Error(`${texts.length} turns were completed, ${TURNS} were due`);
  return texts;
}

async function read(remote: Remote, id: string, said: readonly string[]): Promise<void> {
  const discussion = await remote.call<{ status: string }>('GET', `/discussions/${id}`);
  if (discussion.status !== 'concluded') throw new Error(`the discussion is ${discussion.status}`);
  const messages = await remote.call<{ data: { content: { text: string }[] }[] }>(
    'GET',
    `/discussions/${id}/messages?limit=200`,
  );
  const texts = messages.data.map(({ content }) => content[0]?.text ?? '');
  if (!isDeepStrictEqual(texts, said)) throw new Error('the messages are not those that were streamed');
  const turns = await remote.call<{ data: { status: string }[] }>('GET', `/discussions/${id}/turns?limit=200`);
  const completed = turns.data.filter(({ status }) => status === 'completed').length;
  if (completed !== TURNS) throw new Error(`${completed} turns are listed as completed`);
}

async function replay(remote: Remote, id: string, streamed: readonly WireEvent[]): Promise<void> {
  const { data } = await remote.call<{ data: WireEvent[] }>('GET', `/discussions/${id}/events?limit=200`);
  if (!isDeepStrictEqual(data, streamed)) throw new Error('the log differs from what was streamed');
  const again = await streamToEnd(remote, id, false);
  if (!isDeepStrictEqual(again, streamed)) throw new Error('a second stream differs from the first');
}

await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
process.exit();
