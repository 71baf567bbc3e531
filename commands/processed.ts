import type { RecordedEvent } from '../domain/envelope.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Aggregate } from './aggregate.ts';
import type { Asked, Outcome } from './dispatch.ts';
import type { Engine, ProcessedCommand } from './engine.ts';
import { stateAt } from './states.ts';

/**
 * What this command did when it was carried out before: looked up in the read model, and in those of the stream's events
 * that the read model has not seen yet. So a key works for ever, and a fresh one costs one query.
 * @throws Refusal `key-reused` when the recorded body was another one, or the command was given to another resource.
 */
export async function processedBefore(
  engine: Engine,
  stream: string,
  asked: Asked,
  revision: number,
): Promise<ProcessedCommand | null> {
  const { found, checkpoint } = await engine.findCommand(asked.commandId);
  const before = found ?? (await unseen(engine, stream, asked.commandId, checkpoint, revision));
  if (before === null) return null;
  if (before.bodySha256 !== (asked.bodySha256 ?? null) || before.stream !== stream)
    throw new Refusal('key-reused', 'this Idempotency-Key was used for another request: use a fresh one');
  return before;
}

async function unseen(
  engine: Engine,
  stream: string,
  commandId: string,
  checkpoint: bigint,
  revision: number,
): Promise<ProcessedCommand | null> {
  if (revision < 0) return null;
  const own: RecordedEvent[] = [];
  for await (const event of engine.store.read(stream, { backwards: true })) {
    if (event.position <= checkpoint) break;
    if (event.metadata.commandId === commandId) own.push(event);
    else if (own.length > 0) break;
  }
  const [last, first] = [own[0], own.at(-1)];
  if (last === undefined || first === undefined) return null;
  return {
    stream,
    firstRevision: first.revision,
    lastRevision: last.revision,
    bodySha256: first.metadata.bodySha256 ?? null,
  };
}

/** The outcome as it was answered the first time: the state right after the command's last event. */
export async function recordedOutcome<S, E extends { type: string; data: unknown }>(
  engine: Engine,
  aggregate: Aggregate<S, E>,
  id: string,
  before: ProcessedCommand,
  asked: Asked,
): Promise<Outcome<S, E>> {
  const { state, revision, position } = await stateAt(engine.store, aggregate, before.stream, before.lastRevision);
  const events: E[] = [];
  for await (const event of engine.store.read(before.stream, {
    from: before.firstRevision,
    limit: before.lastRevision - before.firstRevision + 1,
  }))
    if (event.metadata.commandId === asked.commandId) events.push(event as E & typeof event);
  return { id, state, events, revision, position, replayed: true };
}

/** What a request with an Idempotency-Key was answered before, for commands that look at other streams before they decide. */
export async function repeated<S, E extends { type: string; data: unknown }>(
  engine: Engine,
  aggregate: Aggregate<S, E>,
  id: string,
  asked: Asked,
): Promise<Outcome<S, E> | null> {
  if (!asked.keyed) return null;
  const before = await processedBefore(engine, `${aggregate.kind}-${id}`, asked, 0);
  return before === null ? null : recordedOutcome(engine, aggregate, id, before, asked);
}
