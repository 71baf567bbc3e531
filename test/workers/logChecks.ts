/** What must hold of a discussion in the log, whatever happened to its workers (design: I2, I3, I4, I6, I9). */
import * as assert from 'uvu/assert';
import { agents, discussions } from '../../commands/aggregate.ts';
import { readRecalled } from '../../commands/readRecalled.ts';
import { load } from '../../commands/states.ts';
import { profileAt } from '../../domain/agent/agent.ts';
import { textOf } from '../../domain/content.ts';
import { evolveDiscussion } from '../../domain/discussion/evolve.ts';
import type { Discussion, ExistingDiscussion } from '../../domain/discussion/state.ts';
import { renderPrompt, type RenderedPrompt, type Utterance } from '../../domain/prompt/render.ts';
import { audited } from '../domain/discussion/invariants.ts';
import type { TestEngine } from './engineForTests.ts';
import { history, only, type Recorded } from './talks.ts';

/** @throws an assertion that names what is doubled, missing or out of order. @returns what the audit counted. */
export function checkLog(events: readonly Recorded[]): ReturnType<typeof audited> {
  assert.equal(
    events.map(({ revision }) => revision),
    events.map((_, i) => i),
    'revisions without gaps',
  );
  assert.is(new Set(events.map(({ id }) => id)).size, events.length, 'no event twice');
  const seen = new Set<string>();
  for (const { id, type, metadata } of events) {
    if (metadata.actor.kind === 'worker') assert.ok(seen.has(metadata.causationId ?? ''), `${type} names its cause`);
    seen.add(id);
  }
  return audited(
    events.map((event) => ({ event, revision: event.revision, atMs: Date.parse(event.metadata.occurredAt) })),
  );
}

/** As `checkLog`, of a discussion that has ended with `turns` turns, each with one message and every attempt's tokens counted. */
export function checkEnded(events: readonly Recorded[], turns: number): void {
  const audit = checkLog(events);
  assert.ok(audit.concluded, 'it has ended');
  assert.equal(
    only(events, 'TurnRequested').map(({ data }) => data.number),
    Array.from({ length: turns }, (_, i) => i + 1),
  );
  assert.is(audit.completed.size, turns, 'each turn was completed');
  assert.is(only(events, 'TurnCompleted').length, turns, 'one message for each turn');
  assert.is(audit.outstanding.size, 0, 'tokens of every attempt are counted');
}

export interface Rerendered {
  readonly turnId: string;
  readonly attempt: number;
  readonly window: { from: number; to: number } | null;
  readonly prompt: RenderedPrompt;
}

/** Renders every prompt of the discussion again from the log alone and compares it with what was recorded at its claim. */
export async function rerender(of: TestEngine, id: string): Promise<Rerendered[]> {
  const events = await history(of, id);
  let state: Discussion = discussions.initial;
  const all: Rerendered[] = [];
  for (const event of events) {
    if (event.type === 'TurnClaimed') {
      const { turnId, attempt, prompt } = event.data;
      const rendered = await promptOf(of, events, state as ExistingDiscussion, event.data);
      assert.is(rendered.sha256, prompt.sha256, `attempt ${attempt} of turn at revision ${event.revision}`);
      all.push({ turnId, attempt, window: prompt.window, prompt: rendered });
    }
    state = evolveDiscussion(state, event, {
      revision: event.revision,
      atMs: Date.parse(event.metadata.occurredAt),
    });
  }
  return all;
}

async function promptOf(
  of: TestEngine,
  events: readonly Recorded[],
  state: ExistingDiscussion,
  { turnId, prompt }: Extract<Recorded, { type: 'TurnClaimed' }>['data'],
): Promise<RenderedPrompt> {
  const { sha256: _sha256, ...basis } = prompt;
  const { window } = basis;
  const number = only(events, 'TurnRequested').find(({ data }) => data.turnId === turnId)?.data.number ?? 0;
  const speaker = state.participants.find(({ participantId }) => participantId === state.turn?.participantId);
  const loaded = await load(of.engine, agents, `agent-${speaker?.agentId}`);
  const said = events.flatMap((each) => utterances(each, state));
  return renderPrompt(
    {
      nonce: state.nonce,
      title: state.title,
      topic: state.topic,
      contextText: only(events, 'DiscussionOpened')[0]?.data.context.text ?? null,
      participants: state.participants.filter(({ left }) => !left).map(({ name }) => name),
      transcript:
        window === null ? [] : said.filter((each) => each.revision >= window.from && each.revision <= window.to),
      recalled: await readRecalled(of.store, state.projectId, prompt),
      speaker: { name: speaker?.name ?? '', instructions: profileAt(loaded.state, basis.agentVersion).instructions },
      turnNumber: number,
    },
    basis,
  );
}

function utterances(event: Recorded, state: ExistingDiscussion): Utterance[] {
  if (event.type === 'MessagePosted')
    return [{ revision: event.revision, author: event.data.author.name, text: textOf(event.data.content) }];
  if (event.type !== 'TurnCompleted') return [];
  const author =
    state.participants.find(({ participantId }) => participantId === event.data.participantId)?.name ?? '?';
  return [{ revision: event.revision, author, text: textOf(event.data.content) }];
}
