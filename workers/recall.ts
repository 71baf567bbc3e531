/** What an agent with a memory is reminded of before it speaks: passages that fit the last messages and that its prompt does not show. */
import { discussions } from '../commands/aggregate.ts';
import { findSaid } from '../commands/readRecalled.ts';
import { load } from '../commands/states.ts';
import type { AgentMemory } from '../domain/agent/events.ts';
import { estimateTokens } from '../domain/content.ts';
import type { DiscussionEvent, PromptRecord } from '../domain/discussion/events.ts';
import { partsOf } from '../domain/discussion/lineage.ts';
import type { Recall, Retrieved } from '../domain/discussion/retrieved.ts';
import type { ExistingDiscussion, OpenTurn } from '../domain/discussion/state.ts';
import type { RecordedEvent } from '../domain/envelope.ts';
import type { Passage, PassageHit } from '../domain/meaning/vectorIndex.ts';
import type { PromptPlan } from '../domain/prompt/plan.ts';
import { passesFilter, recallFilter } from '../domain/prompt/recallFilter.ts';
import { passageText, recalledFrom, recalledPart, type Recalled } from '../domain/prompt/recalled.ts';
import type { Utterance } from '../domain/prompt/render.ts';
import type { WorkerContext } from './worker.ts';

/** All the time that recalling may hold one turn up. */
export const RECALL_MS = 1_000;
/** What is looked for: so many messages, so many characters of each. */
const QUERY_MESSAGES = 3;
const QUERY_CHARS = 1_000;

/** Time left to recall something: it is shared by the claims of one wake-up that meet a stream that had moved. */
export interface Patience {
  leftMs: number;
}

export interface Recollection {
  readonly recorded: Pick<PromptRecord, 'retrieved' | 'recall'>;
  /** In the order of `recorded.retrieved`. */
  readonly recalled: readonly Recalled[];
  /** What they add to the prompt (estimated). */
  readonly tokens: number;
}

/** Of an agent that has no memory. */
export const NOTHING_RECALLED: Recollection = { recorded: {}, recalled: [], tokens: 0 };

export interface Remembering {
  readonly discussionId: string;
  readonly state: ExistingDiscussion;
  readonly turn: OpenTurn;
  readonly memory: AgentMemory;
  readonly plan: PromptPlan;
  readonly contextText: string | null;
  /** The messages of the plan's window. */
  readonly transcript: readonly Utterance[];
}

type Context = Pick<WorkerContext, 'engine' | 'recall' | 'telemetry' | 'log'>;
type Said = DiscussionEvent & RecordedEvent;

/**
 * Never rejects, and takes no longer than `patience` lets it: what fails or is late leaves the agent without, and the record
 * says why. Every text is read from the log, where it must be of the discussion's project; the index only points there.
 */
export async function recall(ctx: Context, asked: Remembering, patience: Patience): Promise<Recollection> {
  const recollection = await recallInTime(ctx, asked, patience);
  const { recorded, recalled } = recollection;
  ctx.telemetry.count('recall_total', {
    outcome: recorded.recall?.failed ?? (recalled.length === 0 ? 'nothing' : 'found'),
  });
  return recollection;
}

async function recallInTime(ctx: Context, asked: Remembering, patience: Patience): Promise<Recollection> {
  const without = (failed: NonNullable<Recall['failed']>): Recollection => ({
    ...NOTHING_RECALLED,
    recorded: { retrieved: [], recall: { scope: asked.memory.scope, model: null, failed } },
  });
  if (!ctx.recall) return without('unavailable');
  if (patience.leftMs <= 0) return without('late');
  const { clock } = ctx.engine;
  const startedMs = clock.monotonic();
  const over = new AbortController();
  const late = clock.sleep(patience.leftMs, over.signal).then(() => 'late' as const);
  try {
    const found = await Promise.race([remember(ctx, ctx.recall, asked, over.signal), late]);
    return found === 'late' ? without('late') : found;
  } catch (error) {
    ctx.log.warn({ err: error, turnId: asked.turn.turnId }, 'nothing could be recalled for a turn');
    return without('unavailable');
  } finally {
    over.abort('over');
    patience.leftMs -= clock.monotonic() - startedMs;
  }
}

async function remember(
  ctx: Context,
  search: NonNullable<WorkerContext['recall']>,
  asked: Remembering,
  signal: AbortSignal,
): Promise<Recollection> {
  const { state, plan, memory } = asked;
  const { scope, k, minScore } = memory;
  const filter = recallFilter(scope, asked.discussionId, state, plan.basis.window);
  // At once, since they share the time; more than are wanted, since some of them are shown already, or do not fit.
  const found = await Promise.all(
    queriesOf(asked).map(async (query) => await search({ query, filter, limit: 3 * k + 10 }, { signal })),
  );
  const model = found[0]?.model ?? null;
  const isWanted = ({ passage, score }: PassageHit) =>
    score >= minScore && Number.isFinite(score) && passesFilter(passage, filter);
  const wanted = inTurn(found.map(({ hits }) => hits.filter(isWanted)));
  const chosen = await choose(ctx, asked, wanted, signal);
  const inOrder = chosen.sort(
    (a, b) => compare(a.at, b.at) || compare(a.position, b.position) || a.entry.from - b.entry.from,
  );
  const recalled = inOrder.map((each) => each.recalled);
  return {
    recorded: { retrieved: inOrder.map(({ entry }) => entry), recall: { scope, model } },
    recalled,
    tokens: tokensOf(asked, recalled),
  };
}

function compare<T extends string | bigint>(a: T, b: T): number {
  return a < b ? -1 : Number(a > b);
}

/** The last messages, the newest first, of each its end; the topic before anybody has said anything in words. */
function queriesOf({ transcript, state }: Remembering): string[] {
  const said = transcript.slice(-QUERY_MESSAGES).map(({ text }) => text.trimEnd().slice(-QUERY_CHARS).toWellFormed());
  const queries = new Set(said.filter((text) => text !== '').reverse());
  return queries.size === 0 ? [state.topic] : [...queries];
}

/**
 * The best of each list, then the second best of each: together, small talk would drown the one question among the last
 * messages, since small talk is most like other small talk.
 */
function inTurn(lists: readonly (readonly PassageHit[])[]): PassageHit[] {
  const hits = new Map<string, PassageHit>();
  const longest = Math.max(0, ...lists.map(({ length }) => length));
  for (let rank = 0; rank < longest; rank += 1)
    for (const hit of lists.flatMap((list) => list[rank] ?? [])) {
      const { stream, revision, eventId, starts, ends } = hit.passage;
      // By its place, which is checked against the log; its id is what the index says.
      const place = JSON.stringify([stream, revision, eventId, starts, ends]);
      if (!hits.has(place)) hits.set(place, hit);
    }
  return [...hits.values()];
}

interface Chosen {
  readonly entry: Retrieved;
  readonly recalled: Recalled;
  readonly at: string;
  readonly position: bigint;
}

/** The first that are shown nowhere else in the prompt, and fit. A passage that does not fit is left out whole. */
async function choose(
  ctx: Context,
  asked: Remembering,
  hits: readonly PassageHit[],
  signal: AbortSignal,
): Promise<Chosen[]> {
  const { memory, plan, state } = asked;
  const chosen: Chosen[] = [];
  const shown = shownTexts(asked);
  const isOwnLast = createOwnLast(ctx, asked, signal);
  for (const { passage, score } of hits) {
    if (chosen.length === memory.k) break;
    signal.throwIfAborted();
    const { eventId, stream, revision, starts: from, ends: to } = passage;
    const again = chosen.some(({ entry }) => entry.eventId === eventId && entry.from < to && from < entry.to);
    if (again || isShownDocument(asked, passage)) continue;
    const event = await findSaid(ctx.engine.store, state.projectId, passage);
    const text = event && passageText(event);
    if (text === null || event === null || !isPartOf(text, from, to) || (await isOwnLast(event))) continue;
    const kind = event.type === 'DiscussionOpened' ? 'document' : 'message';
    const entry = {
      eventId,
      stream,
      revision,
      kind,
      from,
      to,
      score,
      author: await authorOf(ctx, asked, event),
    } as const;
    const recalled = recalledFrom(entry, text);
    if (shown.some((each) => each.includes(recalled.text.trim()))) continue;
    if (tokensOf(asked, [...chosen.map((each) => each.recalled), recalled]) > plan.recallTokens) continue;
    shown.push(recalled.text);
    chosen.push({ entry, recalled, at: event.metadata.occurredAt, position: event.position });
  }
  return chosen;
}

function isPartOf(text: string, from: number, to: number): boolean {
  if (!Number.isInteger(from) || !Number.isInteger(to) || from < 0 || to > text.length) return false;
  const part = text.slice(from, to);
  return part.trim() !== '' && part.isWellFormed();
}

function tokensOf({ state, plan }: Remembering, recalled: readonly Recalled[]): number {
  if (recalled.length === 0) return 0;
  return estimateTokens(recalledPart(recalled, state.nonce, plan.basis.controlTokens));
}

function shownTexts({ plan, contextText, transcript }: Remembering): string[] {
  const { messageChars, context } = plan.basis;
  const parts = contextText === null ? [] : context.map(([from, to]) => contextText.slice(from, to));
  return [...parts, ...transcript.map(({ text }) => text.slice(0, messageChars))];
}

function isShownDocument({ discussionId, state, plan }: Remembering, { kind, starts, ends, ...of }: Passage): boolean {
  if (kind !== 'document' || of.discussionId !== (state.ancestors[0]?.discussionId ?? discussionId)) return false;
  return plan.basis.context.some(([from, to]) => from < ends && starts < to);
}

/** Whether an event is the last thing that the speaker said here: looked for only once something of it comes up. */
function createOwnLast({ engine }: Context, { discussionId, state, turn }: Remembering, signal: AbortSignal) {
  const parts = partsOf(discussionId, state.ancestors);
  const isOwn = (event: Said) => event.type === 'TurnCompleted' && event.data.participantId === turn.participantId;
  const find = async (): Promise<string | null> => {
    for (const { discussionId: id, until } of parts.toReversed())
      for await (const event of engine.store.read(`discussion-${id}`, {
        backwards: true,
        ...(until === null ? {} : { from: until }),
      })) {
        signal.throwIfAborted();
        if (isOwn(event as Said)) return event.id;
      }
    return null;
  };
  let last: Promise<string | null> | undefined;
  return async (event: Said): Promise<boolean> => isOwn(event) && event.id === (await (last ??= find()));
}

/** By the name that the discussion knows, as messages in the window are shown. */
async function authorOf({ engine }: Context, { state }: Remembering, event: Said): Promise<string> {
  if (event.type === 'MessagePosted') return event.data.author.name;
  if (event.type === 'DiscussionOpened') return event.data.title;
  if (event.type !== 'TurnCompleted') return 'somebody';
  const { participantId } = event.data;
  const nameIn = (of: ExistingDiscussion) => of.participants.find((each) => each.participantId === participantId)?.name;
  const here = nameIn(state);
  if (here !== undefined) return here;
  const { state: there } = await load(engine, discussions, event.stream);
  return (there.status === 'none' ? undefined : nameIn(there)) ?? 'somebody';
}
