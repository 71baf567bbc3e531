/** The log's tail for all viewers of this process: one subscription, each event serialised once. */
import { discussions } from '../commands/aggregate.ts';
import type { Engine } from '../commands/engine.ts';
import { refresh } from '../commands/states.ts';
import { onTheWire, streamId, type RecordedEvent } from '../domain/envelope.ts';
import type { Bus, Delta } from '../domain/ports.ts';
import type { Log } from '../domain/telemetry.ts';
import { sseFrame } from './sse.ts';

/** What happened in a discussion, as all its viewers get it. */
export type FeedItem =
  | { readonly kind: 'event'; readonly event: RecordedEvent; readonly frame: string; readonly ended: boolean }
  | { readonly kind: 'delta'; readonly turnId: string; readonly frame: string };

export type Listener = (item: FeedItem) => void;

export interface Feed {
  /** Follows one discussion from now on. @returns what ends it. */
  watch(discussion: { id: string; project: string }, listener: Listener): () => void;
  /** The answer being written in a discussion, from its attempt's start: one frame, or none. */
  underWay(discussionId: string): string | null;
  /** Follows a project's events (`*` for all). */
  watchProject(project: string, listener: (event: RecordedEvent) => void): () => void;
  /** Revision of a discussion's last event when nothing can be appended to it any more, else null. */
  end(discussionId: string): Promise<number | null>;
  stop(): void;
}

interface Room {
  readonly listeners: Set<Listener>;
  readonly over: AbortController;
  /** The attempt whose text is being written. */
  writing: { turnId: string; attempt: number; text: string } | null;
  endedTurn: string | null;
}

const RETRY_MS = 250;

/** Starts following the log from its head. */
export async function startFeed(engine: Engine, bus: Bus, log: Log): Promise<Feed> {
  const over = new AbortController();
  const rooms = new Map<string, Room>();
  const projects = new Set<{ project: string; listener: (event: RecordedEvent) => void }>();
  const tell = async (event: RecordedEvent) => {
    for (const { project, listener } of projects)
      if (project === '*' || project === event.metadata.project) listener(event);
    const room = event.stream.startsWith('discussion-') ? rooms.get(streamId(event.stream)) : undefined;
    if (room !== undefined) await announce(engine, room, event);
  };
  let place = await engine.store.head();
  const follow = async () => {
    for await (const { events } of engine.store.subscribe(place, { signal: over.signal }))
      for (const event of events) {
        await tell(event);
        place = event.position;
      }
  };
  const keepFollowing = async () => {
    for (let failed = true; failed && !over.signal.aborted;)
      try {
        await follow();
        failed = false;
      } catch (error) {
        // A read that failed must not leave every viewer waiting for ever; what is told twice is sent once.
        log.warn({ err: error }, 'the feed of the log had trouble: it goes on');
        await engine.clock.sleep(RETRY_MS, over.signal);
      }
  };
  void keepFollowing();
  return {
    watch({ id, project }, listener) {
      const room = rooms.get(id) ?? openRoom(rooms, { bus, log }, id, project);
      room.listeners.add(listener);
      return () => {
        room.listeners.delete(listener);
        if (room.listeners.size > 0) return;
        room.over.abort();
        if (rooms.get(id) === room) rooms.delete(id);
      };
    },
    underWay(discussionId) {
      const writing = rooms.get(discussionId)?.writing ?? null;
      return writing === null
        ? null
        : sseFrame('delta', { turnId: writing.turnId, attempt: writing.attempt, offset: 0, text: writing.text });
    },
    watchProject(project, listener) {
      const entry = { project, listener };
      projects.add(entry);
      return () => void projects.delete(entry);
    },
    end: (discussionId) => endOf(engine, `discussion-${discussionId}`),
    stop: () => over.abort(),
  };
}

function openRoom(rooms: Map<string, Room>, { bus, log }: { bus: Bus; log: Log }, id: string, project: string): Room {
  const room: Room = { listeners: new Set(), over: new AbortController(), writing: null, endedTurn: null };
  rooms.set(id, room);
  const listen = async () => {
    for await (const delta of bus.deltas({ project, discussionId: id }, { signal: room.over.signal }))
      write(room, delta);
  };
  // The log's events, which count, are told all the same.
  listen().catch((error: unknown) =>
    log.warn({ err: error, discussionId: id }, 'answers cannot be shown as they come'),
  );
  return room;
}

function write(room: Room, { turnId, attempt, offset, text }: Delta): void {
  // The log may tell of a turn's end before the last deltas have come through.
  if (turnId === room.endedTurn) return;
  const before = room.writing?.turnId === turnId && room.writing.attempt === attempt ? room.writing.text : '';
  // After a lost delta there is no text from the start to show to those who come now.
  room.writing = offset > before.length ? null : { turnId, attempt, text: before.slice(0, offset) + text };
  const item = { kind: 'delta' as const, turnId, frame: sseFrame('delta', { turnId, attempt, offset, text }) };
  for (const listener of room.listeners) listener(item);
}

async function announce(engine: Engine, room: Room, event: RecordedEvent): Promise<void> {
  let ended = false;
  if (event.type === 'DiscussionConcluded' || event.type === 'TurnAttemptAbandoned') {
    ended = (await endOf(engine, event.stream)) === event.revision;
  }
  if (/^Turn(Completed|Failed|Skipped|Cancelled|AttemptAbandoned)$/.test(event.type)) {
    const { turnId } = event.data as { turnId: string };
    if (event.type !== 'TurnAttemptAbandoned') room.endedTurn = turnId;
    if (room.writing?.turnId === turnId) room.writing = null;
  }
  const item = { kind: 'event' as const, event, frame: eventFrame(event), ended };
  for (const listener of room.listeners) listener(item);
}

async function endOf(engine: Engine, stream: string): Promise<number | null> {
  const { state, revision } = await refresh(engine, discussions, stream);
  return state.status === 'concluded' && state.unsettled.length === 0 ? revision : null;
}

/** A committed event of a discussion: its id is the revision. */
export function eventFrame(event: RecordedEvent): string {
  return sseFrame(event.type, onTheWire(event), String(event.revision));
}
