/** Fills a log with short discussions as they would stand there, many at once so that their events are mixed. */
import type { EventStore } from '../../domain/ports.ts';
import type { NewEvent } from '../../domain/envelope.ts';
import { defaultLimits, type DiscussionEvent } from '../../domain/discussion/events.ts';
import { systemIds } from '../../infra/system.ts';
import { prose } from './zeroLatencyModel.ts';

/** Discussions that go on at the same time. */
const AT_ONCE = 32;
/** Events of each discussion. */
export const EVENTS_EACH = 10;

/** Writes this many discussions of two agents and two turns, in the batches in which they would be appended. */
export async function seedLog(store: EventStore, discussions: number): Promise<void> {
  let begun = 0;
  const loop = async () => {
    while (begun < discussions) {
      begun += 1;
      let revision = -1;
      const stream = `discussion-${systemIds.next()}`;
      for (const batch of batchesOf(begun)) revision = (await store.append(stream, recorded(batch), revision)).revision;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, loop));
}

function recorded(batch: readonly DiscussionEvent[]): NewEvent[] {
  const commandId = systemIds.next();
  const metadata = {
    actor: { kind: 'worker' as const, id: 'worker-bench' },
    project: 'default',
    occurredAt: new Date().toISOString(),
    commandId,
    correlationId: commandId,
    causationId: commandId,
  };
  return batch.map(({ type, data }) => ({ id: systemIds.next(), type, schemaVersion: 1, data, metadata }));
}

function batchesOf(seed: number): DiscussionEvent[][] {
  const speakers = [systemIds.next(), systemIds.next()];
  const [first, second] = [turnOf(1, speakers, seed), turnOf(2, speakers, seed + 7)];
  const opened: DiscussionEvent = {
    type: 'DiscussionOpened',
    data: {
      projectId: 'default',
      nonce: '0123456789abcdef',
      title: `Discussion ${seed}`,
      topic: prose(seed, 80),
      context: {},
      policy: { kind: 'round-robin' },
      limits: defaultLimits,
      priority: 5,
    },
  };
  const joined = speakers.map((participantId, i): DiscussionEvent => ({
    type: 'ParticipantJoined',
    data: { participantId, kind: 'agent', name: `Agent ${i}`, agentId: participantId, agentVersion: 1 },
  }));
  const concluded: DiscussionEvent = { type: 'DiscussionConcluded', data: { reason: 'max-turns' } };
  return [
    [opened, ...joined, first.requested],
    [first.claimed],
    [first.completed, second.requested],
    [second.claimed],
    [second.completed, concluded],
  ];
}

function turnOf(
  number: number,
  candidates: string[],
  seed: number,
): Record<'requested' | 'claimed' | 'completed', DiscussionEvent> {
  const turnId = systemIds.next();
  const participantId = candidates[number % 2] ?? '';
  const model = { provider: 'offline' as const, name: 'offline', digest: null };
  const why = { policy: 'round-robin', policyVersion: 1, reason: 'next in the order of joining', candidates };
  const prompt = {
    renderer: 'r1',
    sha256: '0'.repeat(64),
    window: null,
    context: [],
    messageChars: 20_000,
    agentVersion: 1,
    model,
    parameters: { num_ctx: 4096, num_predict: 400 },
    controlTokens: [],
    retrieved: [],
  };
  const usage = { inputTokens: 300, outputTokens: 80, source: 'reported' as const };
  return {
    requested: {
      type: 'TurnRequested',
      data: { turnId, number, participantId, answeredBy: 'model', answerWithinMs: null, why },
    },
    claimed: {
      type: 'TurnClaimed',
      data: { turnId, attempt: 1, worker: 'w', incarnation: 'i', leaseMs: 15_000, reserved: 1_000, prompt },
    },
    completed: {
      type: 'TurnCompleted',
      data: {
        turnId,
        attempt: 1,
        messageId: systemIds.next(),
        participantId,
        content: [{ type: 'text', text: prose(seed, 300) }],
        model,
        usage,
        finishReason: 'end_turn',
        timing: { firstTokenMs: 1, totalMs: 2 },
      },
    },
  };
}
