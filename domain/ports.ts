/**
 * What the engine needs from the outside, named by role. Each port has its contract in prose here, one contract suite
 * under `test/contracts/`, and adapters under `infra/` that only translate and all pass that suite.
 */
import type { StoredRecord } from './codec.ts';
import type { NewEvent, RecordedEvent } from './envelope.ts';
import type { Hits } from './hits.ts';
import type { GenerateRequest, ModelDescription, ModelEvent, StoredModel } from './model.ts';
import type { Operation, Outcome, Progress } from './operation.ts';
import type { Ticket, TicketLimits } from './tickets.ts';

/** Expected revision of a stream that must not exist yet. */
export const NO_STREAM = -1;

/** What a subscription hands over at once: events in log order, and whether the head of the log was reached. */
export interface Slice {
  readonly events: readonly RecordedEvent[];
  readonly caughtUp: boolean;
}

export interface Appended {
  /** Revision of the last event of the batch. */
  readonly revision: number;
  /** Position of the last event of the batch. */
  readonly position: bigint;
}

/**
 * The log, the only truth.
 *
 * `append` is all or nothing, at exactly the expected revision; there is no "any". It resolves only when the batch is
 * durable. A repeated batch (every id equals the ids at expectedRevision+1…, a prefix of what was written counts) answers
 * with the first outcome, for ever; any other batch at an old revision, and a revision ahead of the stream, rejects with
 * `WrongExpectedRevision`. An id that is stored elsewhere rejects with `WrongExpectedRevision` too (PostgreSQL checks it,
 * EventStoreDB does not: ids that follow from their command meet at one place only), as does an id twice in one batch
 * with `Refusal('invalid')`. When the outcome is not known it rejects with `UnknownOutcome`: the caller repeats
 * the identical batch. An empty batch is refused as invalid.
 *
 * `read` gives a stream's events in order (or backwards from `from`, default its end); a missing stream gives none.
 * `readAll` and `subscribe` are exclusive of `after`, in commit order: an event with a smaller position never appears
 * after a larger one was handed out. `subscribe` goes on for ever, wakes at once after a commit (polling is only a
 * fall-back), yields `caughtUp: true` whenever it has reached the head (also when there was nothing), survives a lost
 * connection by itself, and ends quietly when its signal aborts. Iterables left early (break, throw, return) release
 * everything they hold.
 */
export interface EventStore {
  append(stream: string, events: readonly NewEvent[], expectedRevision: number): Promise<Appended>;
  read(stream: string, options?: { from?: number; backwards?: boolean; limit?: number }): AsyncIterable<RecordedEvent>;
  /** With `types` only events of those: a server that can leaves the others out before they are sent. */
  readAll(after: bigint, options?: { limit?: number; types?: readonly string[] }): AsyncIterable<RecordedEvent>;
  /** Events as they are stored, without the codec: of the whole log, or of one stream, in order; exclusive of `after`. */
  readStored(after: bigint, options?: { limit?: number; stream?: string }): AsyncIterable<StoredRecord>;
  subscribe(after: bigint, options: { signal: AbortSignal }): AsyncIterable<Slice>;
  /** Position of the last event, 0n when the log is empty. */
  head(): Promise<bigint>;
  /** A UUID made when the log was made; a log restored from elsewhere has another one. */
  lineage(): Promise<string>;
}

/** There may be work: never the truth, may be lost, doubled or reordered without harm. */
export interface WakeUp {
  readonly kind: 'turn';
  readonly project: string;
  readonly discussionId: string;
  readonly turnId: string;
  readonly revision: number;
  readonly traceparent?: string;
}

/** A piece of an answer while it is being written. `offset` counts UTF-16 units from the start of the attempt's text. */
export interface Delta {
  readonly project: string;
  readonly discussionId: string;
  readonly turnId: string;
  readonly attempt: number;
  readonly offset: number;
  readonly text: string;
}

/**
 * Wake-ups for competing consumers, live deltas for all.
 *
 * `wakeUps`: each wake-up reaches one of the waiting consumers at least while both live; the consumer calls `ack` after
 * its claim is in the log. A wake-up nobody waits for is kept (bounded: the oldest are dropped). `deltas`: every delta of
 * the discussions that `wants` accepts, first those of turns under way from their attempt's start, then live ones, in
 * order per attempt. `endTurn` forgets a turn's deltas. A slow reader loses deltas, never holds others back.
 * Iterables end quietly when their signal aborts, and release everything when left early.
 */
export interface Bus {
  wake(wakeUp: WakeUp): Promise<void>;
  wakeUps(options: { signal: AbortSignal }): AsyncIterable<{ wakeUp: WakeUp; ack: () => void }>;
  publish(delta: Delta): void;
  endTurn(turnId: string): void;
  deltas(wants: { project: string; discussionId?: string }, options: { signal: AbortSignal }): AsyncIterable<Delta>;
}

/**
 * Every committed event, in the log's order and without gaps, for programs other than this engine. Any number of processes
 * may announce: each event is announced once, whoever wins. What was announced is kept for a bounded time, and is never
 * the truth.
 */
export interface Announcements {
  /** Position of the last event announced; null when there is none (any more). */
  last(): Promise<bigint | null>;
  /**
   * Announces events, the first of which follows `after` (null: nothing was announced before). Resolves when all are taken.
   * Rejects with `Refusal('conflict')` when somebody else has announced meanwhile: the caller asks for `last` again.
   */
  announce(events: readonly RecordedEvent[], after: bigint | null): Promise<void>;
}

/**
 * Places at something whose use is limited over all processes (a model, a provider). A place that is not renewed for its
 * `leaseMs` is free again. Losing them all is harmless: for a moment more may run than allowed.
 */
export interface Slots {
  /** Takes a place of each, or none: false when one of them is full. A holder that has its places already keeps them. */
  take(holder: string, wanted: readonly { name: string; limit: number }[], leaseMs: number): Promise<boolean>;
  renew(holders: readonly string[]): Promise<void>;
  free(holders: readonly string[]): Promise<void>;
}

/**
 * A provider of language models. `generate` yields text deltas and then exactly one `done` (a stream that ends without
 * one is never an answer); it throws `ModelFailure` with a reason of the closed list, and only that. Aborting the signal
 * stops the provider's work itself, not only our reading, and rejects with reason `cancelled`. The request's deadlines
 * hold whatever the provider does. A loop that is left early stops the provider's work too. No retry hides inside.
 */
export interface LanguageModel {
  readonly provider: string;
  /** What is known of a model (digest, context, control tokens). Rejects with `ModelFailure` when it is not to be had. */
  describe(name: string, options: { signal: AbortSignal }): Promise<ModelDescription>;
  generate(request: GenerateRequest, options: { signal: AbortSignal }): AsyncIterable<ModelEvent>;
}

/** The models of a server that keeps some: list, show, pull, delete, running. Errors are `Refusal`s. */
export interface ModelLibrary {
  list(): Promise<StoredModel[]>;
  show(name: string): Promise<ModelDescription & { readonly capabilities: readonly string[] }>;
  /** Progress in bytes until the model is there; rejects when the pull fails, also when it fails inside a 200 stream. */
  pull(name: string, options: { signal: AbortSignal }): AsyncIterable<{ status: string; done: number; total: number }>;
  remove(name: string): Promise<void>;
  running(): Promise<(StoredModel & { contextTokens: number | null; expiresAt: string | null })[]>;
}

/** Who asks. `grants` come from the verified token: role per project, `*` for all. */
export interface Actor {
  readonly kind: 'user' | 'agent' | 'worker' | 'system';
  readonly id: string;
  readonly grants: readonly { readonly project: string; readonly role: string }[];
}

export type Action = 'read' | 'write' | 'administer';

/** Decides, default deny. Asked by `dispatch` and by queries once the object's project is known. */
export interface Authorizer {
  may(actor: Actor, action: Action, object: { project: string; kind: string; id?: string }): Promise<boolean>;
}

export interface Lease {
  readonly turnId: string;
  readonly worker: string;
  /** Revision of the claim: a lease of an older claim says nothing about a newer one. */
  readonly fence: number;
  /** Counts up with every renewal; watchers compare it with what they saw before, never wall clocks. */
  readonly renewals: number;
}

/** Signs of life of claimed turns. Losing them all is harmless: turns are then taken over after their lease time. */
export interface Leases {
  renew(worker: string, held: readonly { turnId: string; fence: number }[]): Promise<void>;
  release(turnIds: readonly string[]): Promise<void>;
  list(turnIds: readonly string[]): Promise<Lease[]>;
}

export interface Snapshot {
  readonly revision: number;
  /** Id of the event at that revision: the snapshot counts only if the log has the same one there. */
  readonly eventId: string;
  /** Version of the fold that made it. */
  readonly version: number;
  readonly state: unknown;
}

/** Folded states, to spare reading a long stream. May be lost at any time; `save` never moves backwards. */
export interface Snapshots {
  load(stream: string): Promise<Snapshot | null>;
  save(stream: string, snapshot: Snapshot): Promise<void>;
}

/** Tickets that any process may spend, each once; kept by a hash of their secret. Losing them all is harmless. */
export interface Tickets {
  /** Wall-clock ms of its end; null when too many are held already (a few more pass when many are kept at once). */
  keep(hash: string, ticket: Ticket, limits: TicketLimits): Promise<number | null>;
  /** The ticket, if it lives; spent whatever comes of it. */
  spend(hash: string): Promise<Ticket | null>;
}

/** Requests counted over all processes. A window begins with a key's first hit. Losing them all is harmless. */
export interface RequestCounts {
  /** Adds hits, each key once, and answers each key's hits in its window so far and how long that goes on. */
  add(counted: readonly Hits[], windowMs: number): Promise<readonly (Hits & { leftMs: number })[]>;
}

/** Long work as every process sees it: running work without a sign of life for `SILENT_MS` reads as failed. */
export interface OperationRecords {
  /** Null when too many run already; beyond `kept` the oldest that have ended are forgotten. */
  begin(id: string, kind: string, limits: { running: number; kept: number }): Promise<Operation | null>;
  /** A sign of life. Answers whether to go on: not when somebody asked it to stop, nor when it is not known (any more). */
  alive(id: string, progress: Progress): Promise<boolean>;
  /** Once only: what has ended stays as it is. */
  end(id: string, outcome: Outcome): Promise<void>;
  get(id: string): Promise<Operation | null>;
  /** What is under way, the eldest first. */
  running(): Promise<Operation[]>;
  /** Asks running work to stop. */
  cancel(id: string): Promise<Operation | null>;
}

export interface SealedText {
  readonly stream: string;
  readonly project: string;
  readonly text: string;
}

/** Every text marked personal passes through it on the way into and out of the log, in batches, order kept. */
export interface Seal {
  seal(texts: readonly SealedText[]): Promise<readonly string[]>;
  open(texts: readonly SealedText[]): Promise<readonly string[]>;
}

/** All time outside infra. */
export interface Clock {
  /** Wall clock, milliseconds since the epoch. */
  now(): number;
  /** Milliseconds that never go backwards. */
  monotonic(): number;
  /** Resolves after `ms`, or at once when the signal aborts; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** All randomness outside infra. */
export interface Ids {
  /** A UUIDv7. */
  next(): string;
  /** 16 hexadecimal digits nobody can guess. */
  nonce(): string;
  /** A number in [0, 1), for jitter only. */
  random(): number;
}
