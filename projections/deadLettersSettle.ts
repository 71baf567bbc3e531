/** Goes on with a stream that a read model had parked: with the event that failed tried again, or passed over. */
import type { Knex } from 'knex';
import type { RecordedEvent } from '../domain/envelope.ts';
import type { EventStore } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import { loadMembers, type Member } from './checkpoints.ts';
import { deadLetterQueries, type DeadLetter } from './deadLetters.ts';
import { knownEvent } from './fold.ts';
import { foldBatch, type FoldedBatch, type FoldOptions } from './foldBatch.ts';
import type { Projection } from './projection.ts';
import { createRowCache } from './rowCache.ts';
import { skipLetter, skippedOf } from './skippedEvents.ts';
import { causedByData, writeBatch } from './writeBatch.ts';

/** Events applied in one transaction: the read model's runners wait for it. */
const ROUND_EVENTS = 2_000;
/** Tries while the parked stream itself grows between looking and locking. */
const MAX_RACES = 20;
const LOCK_MS = 20_000;
const REST = 'the rest of its stream is still to be applied: retry';

export interface SettleOptions {
  readonly knex: Knex;
  readonly store: EventStore;
  readonly projections: readonly Projection[];
}

/** What an operator decided, and who it was. */
export type Decision = { readonly by: string } & (
  { readonly kind: 'retry' } | { readonly kind: 'skip'; readonly reason: string }
);

export interface Settled {
  /** Events of the stream that were applied. */
  readonly applied: number;
  /** The letter that the stream waits behind now: the same one when its event failed again; null when it goes on. */
  readonly letter: DeadLetter | null;
}

/**
 * Applies the events of the letter's stream from the letter on, in order, up to the read model's checkpoint; stops at the
 * next one that fails, which becomes the letter. Each round is one transaction that holds the checkpoint's row and raises
 * its epoch: runners neither interleave nor go on from what they have in memory.
 * @throws Refusal `not-found`, `conflict` when the letter was settled meanwhile or its version is not live.
 */
export async function settleLetter(
  options: SettleOptions,
  id: string,
  decision: Decision,
  signal: AbortSignal,
): Promise<Settled> {
  const queries = deadLetterQueries(options.knex);
  let letter = await waitingLetter(queries, id);
  let round: Round = { letter, decision, limit: ROUND_EVENTS };
  let applied = 0;
  for (let races = 0; races < MAX_RACES;) {
    const done = await tryRound(options, round);
    if (done === 'moved') races += 1;
    else if ('limit' in done) round = { ...round, ...done };
    else {
      applied += done.applied;
      const next = done.next === null ? null : await queries.one(done.next);
      if (next === null || !done.goOn || signal.aborted) return { applied, letter: next };
      letter = next;
      round = { letter, decision: { kind: 'retry', by: decision.by }, limit: Math.min(ROUND_EVENTS, round.limit * 2) };
    }
  }
  throw new Refusal('conflict', 'its stream keeps growing at the same moment: try again', { retryable: true });
}

async function waitingLetter(queries: ReturnType<typeof deadLetterQueries>, id: string): Promise<DeadLetter> {
  const letter = await queries.one(id);
  if (letter?.status === 'waiting') return letter;
  if (letter === null && !(await queries.wasSolved(id))) throw new Refusal('not-found', 'there is no such dead letter');
  throw settledAlready(letter === null ? 'solved' : 'skipped');
}

function settledAlready(how: string): Refusal {
  return new Refusal('conflict', `this dead letter was ${how} meanwhile: list them again`);
}

interface Round {
  readonly letter: DeadLetter;
  readonly decision: Decision;
  /** Events applied at most. */
  readonly limit: number;
  readonly poison?: FoldOptions['poison'];
}

interface Done {
  readonly applied: number;
  /** Id of the letter that stands now. */
  readonly next: string | null;
  /** Nothing failed, there is only more to apply. */
  readonly goOn: boolean;
}

/** One transaction; what the database does not take is halved until the event is found. */
async function tryRound(
  options: SettleOptions,
  round: Round,
): Promise<Done | 'moved' | Pick<Round, 'limit' | 'poison'>> {
  const { knex, store } = options;
  const { letter } = round;
  const headBefore = await store.head();
  const events = await eventsFrom(options, letter, round.limit + 1);
  try {
    return await knex.transaction((trx) => applyRound(trx, options.projections, round, { events, headBefore }));
  } catch (error) {
    if (!causedByData(error) || round.poison !== undefined) throw error;
    const tried = Math.min(round.limit, events.length);
    if (tried > 1) return { limit: Math.ceil(tried / 2) };
    const message = error instanceof Error ? error.message : 'PostgreSQL does not take its row';
    return { limit: 1, poison: { eventId: letter.eventId, error: message } };
  }
}

/** The letter's event and those behind it that the read model does not pass over. */
async function eventsFrom(
  { knex, store }: SettleOptions,
  letter: DeadLetter,
  limit: number,
): Promise<readonly RecordedEvent[]> {
  const skipped = await skippedOf(knex, letter.projection);
  const { revision: from } = await letterEvent(store, letter);
  const events: RecordedEvent[] = [];
  for await (const event of store.read(letter.stream, { from })) {
    if (knownEvent(event) !== null && !skipped.has(event.id)) events.push(event);
    if (events.length >= limit) break;
  }
  return events;
}

/** The event that a letter is about. @throws Refusal `internal` when the log does not have it. */
export async function letterEvent(
  store: EventStore,
  { stream, eventId }: Pick<DeadLetter, 'stream' | 'eventId'>,
): Promise<RecordedEvent> {
  for await (const event of store.read(stream, { backwards: true })) if (event.id === eventId) return event;
  throw new Refusal('internal', `the log does not hold event ${eventId} of ${stream}`);
}

interface Read {
  /** The letter's event and those that follow it in the stream. */
  readonly events: readonly RecordedEvent[];
  /** Where the log stood before they were read. */
  readonly headBefore: bigint;
}

async function applyRound(
  trx: Knex,
  projections: readonly Projection[],
  round: Round,
  { events, headBefore }: Read,
): Promise<Done | 'moved'> {
  const { letter, decision, limit, poison } = round;
  const member = await lock(trx, projections, letter);
  const parked = await trx<{ id: string; event_id: string; later_events: string }>('dead_letters')
    .where({ id: letter.id, event_id: letter.eventId })
    .forUpdate()
    .first('later_events');
  if (parked === undefined) throw settledAlready('settled');
  const { position } = member.checkpoint;
  const known = events.filter((event) => event.position <= position);
  const unfinished = known.length > limit;
  const later = Number(parked.later_events);
  // Behind the letter the stream may have grown since it was read, and the read model may have passed over that.
  if (!unfinished && known.length - 1 !== later && position > headBefore) return 'moved';
  const skips = decision.kind === 'skip' ? [letter.eventId] : [];
  const own: Member = {
    ...member,
    folded: BigInt(letter.position) - 1n,
    parked: new Set(),
    skipped: new Set([...member.skipped, ...skips]),
  };
  const batch = await foldBatch(own, known.slice(0, limit), {
    knex: trx,
    cache: createRowCache(0),
    ...(poison === undefined ? {} : { poison }),
  });
  if (batch === null) return 'moved';
  const rest = known[limit];
  const failed = batch.deadLetters[0];
  const next = failed ?? (rest === undefined ? undefined : { event: rest, error: REST });
  const at = next === undefined ? known.length : known.findIndex(({ id }) => id === next.event.id);
  const total = unfinished ? later + 1 : known.length;
  await record(trx, letter, decision, next?.event.id);
  const waiting = new Map([[letter.stream, Math.max(0, total - 1 - at)]]);
  const nextId = await write(trx, { ...batch, deadLetters: next === undefined ? [] : [next], waiting }, letter);
  return { applied: Math.max(0, at - skips.length), next: nextId, goOn: failed === undefined };
}

/** Takes the checkpoint's row, which every write of the read model takes first. */
async function lock(trx: Knex, projections: readonly Projection[], letter: DeadLetter): Promise<Member> {
  const projection = projections.find(({ name }) => name === letter.projection);
  await trx
    .raw('select from projections where name = ? and version = ? for update', [letter.projection, letter.version])
    .timeout(LOCK_MS);
  const [member] = projection === undefined ? [] : await loadMembers(trx, [projection]);
  if (member?.checkpoint.version !== letter.version)
    throw new Refusal(
      'conflict',
      `the letter belongs to version ${letter.version} of ${letter.projection}, which queries do not read any more`,
    );
  return member;
}

async function record(trx: Knex, letter: DeadLetter, decision: Decision, nextEventId: string | undefined) {
  if (decision.kind === 'skip') await skipLetter(trx, letter, decision);
  // The same event that fails again keeps its letter, with one attempt more.
  if (nextEventId === letter.eventId) return;
  await trx('dead_letters').where({ id: letter.id }).delete();
  if (decision.kind === 'retry') await trx('solved_letters').insert({ id: letter.id, solved_by: decision.by });
}

/** Writes the rows; the checkpoint stays where it is, and its epoch goes up. @returns id of the letter that stands now. */
async function write(trx: Knex, batch: FoldedBatch, letter: DeadLetter): Promise<string | null> {
  const { position, event } = batch.member.checkpoint;
  const last = { ...batch.last, ...event, position };
  if (!(await writeBatch(trx, [{ ...batch, last }]))) throw new Error('a checkpoint moved though it was locked');
  // `writeBatch` lets the commit not wait for the disk: rows can be made again from the log, a decision cannot.
  await trx.raw('set local synchronous_commit = on');
  const { projection, version, stream } = letter;
  await trx('projections').where({ name: projection, version }).increment('epoch', 1);
  const now = await trx.raw<{ rows: { id: string }[] }>(
    'select id from dead_letters where parks and projection = ? and version = ? and stream = ?',
    [projection, version, stream],
  );
  return now.rows[0]?.id ?? null;
}
