import { createHash } from 'node:crypto';
import { discussions } from '../commands/aggregate.ts';
import { refresh, stateAt } from '../commands/states.ts';
import { canonicalJson } from '../domain/codec.ts';
import type { DiscussionEvent } from '../domain/discussion/events.ts';
import type { RecordedEvent } from '../domain/envelope.ts';
import type { RunningEngine } from './engine.ts';

/**
 * Who spoke how often, what it used, why it ended, and whether folding the log again gives the state the engine holds.
 * @returns whether it does.
 */
export async function summarise({ engine }: RunningEngine, id: string): Promise<boolean> {
  const stream = `discussion-${id}`;
  const { state, revision } = await refresh(engine, discussions, stream);
  if (state.status === 'none') return false;
  const spoke = new Map<string, number>();
  let attempts = 0;
  for await (const recorded of engine.store.read(stream)) {
    const event = recorded as DiscussionEvent & RecordedEvent;
    if (event.type === 'TurnClaimed') attempts += 1;
    if (event.type === 'TurnCompleted')
      spoke.set(event.data.participantId, (spoke.get(event.data.participantId) ?? 0) + 1);
  }
  const replayed = await stateAt(engine.store, discussions, stream, revision);
  const [held, folded] = [hash(state), hash(replayed.state)];
  console.log('─'.repeat(60));
  for (const { participantId, name } of state.participants)
    console.log(`${name.padEnd(12)} spoke ${spoke.get(participantId) ?? 0} times`);
  console.log(`tokens       ${state.tokensUsed.toLocaleString('en')} in ${attempts} model calls`);
  console.log(
    `ended        ${state.status}${state.status === 'open' ? '' : ` (${state.reason})`} after ${state.turnsCompleted} turns`,
  );
  console.log(
    `replay       ${revision + 1} events folded again give ${held === folded ? 'the same state' : 'ANOTHER STATE'} (sha256 ${folded.slice(0, 16)}…)`,
  );
  return held === folded;
}

function hash(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex');
}
