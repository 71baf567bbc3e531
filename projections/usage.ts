import type { Knex } from 'knex';
import type { HistoryPart } from '../domain/discussion/lineage.ts';
import { streamId } from '../domain/envelope.ts';
import type { LogEvent, Projection, Table } from './projection.ts';
import { liveView } from './tables.ts';

/** One attempt at a turn: what it used, once it has ended. */
export type UsageRow = {
  /** `<turnId>/<attempt>`: an attempt is counted once whatever comes after its end. */
  key: string;
  turnId: string;
  attempt: number;
  discussionId: string;
  project: string;
  participantId: string | null;
  provider: string | null;
  model: string | null;
  state: 'running' | 'completed' | 'abandoned';
  /** Tokens set aside when it was claimed. */
  reserved: number;
  inputTokens: number;
  outputTokens: number;
  source: 'reported' | 'estimated' | 'reserved' | null;
  /** Of its last event, in its discussion: a fork counts what had ended by then. */
  revision: number;
  position: string;
  at: string;
};

export interface UsageSum {
  readonly attempts: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Tokens of the sums that no provider reported. */
  readonly unreportedTokens: number;
  /** Tokens set aside for attempts that are running. */
  readonly reservedTokens: number;
}

/** Whose turn it is: a claim and an abandoned attempt name the turn only. */
type AskedRow = { turnId: string; participantId: string };

const askedTable: Table<AskedRow> = {
  name: 'usage_turns',
  columns: { turnId: 'text', participantId: 'text' },
  key: 'turnId',
  creates: ['TurnRequested'],
  keysOf: (event) => (event.type === 'TurnRequested' ? [event.data.turnId] : []),
  evolve: (row, event, turnId) =>
    event.type === 'TurnRequested' ? { turnId, participantId: event.data.participantId } : row,
};

type AttemptEvent = Extract<LogEvent, { type: 'TurnClaimed' | 'TurnCompleted' | 'TurnAttemptAbandoned' }>;

function attemptOf(event: LogEvent): AttemptEvent | null {
  const { type } = event;
  return type === 'TurnClaimed' || type === 'TurnCompleted' || type === 'TurnAttemptAbandoned' ? event : null;
}

const usageTable: Table<UsageRow> = {
  name: 'usage',
  columns: {
    key: 'text',
    turnId: 'text',
    attempt: 'integer',
    discussionId: 'text',
    project: 'text',
    participantId: 'text',
    provider: 'text',
    model: 'text',
    state: 'text',
    reserved: 'count',
    inputTokens: 'count',
    outputTokens: 'count',
    source: 'text',
    revision: 'integer',
    position: 'position',
    at: 'time',
  },
  key: 'key',
  indexes: [{ name: 'by_discussion', on: ['discussionId'] }],
  creates: ['TurnClaimed'],
  keysOf(event) {
    const attempt = attemptOf(event);
    return attempt ? [`${attempt.data.turnId}/${attempt.data.attempt}`] : [];
  },
  readsOf(event) {
    const attempt = attemptOf(event);
    return attempt ? [{ table: askedTable, key: attempt.data.turnId }] : [];
  },
  evolve(row, event, key, lookup) {
    const attempt = attemptOf(event);
    if (attempt === null || (row !== null && row.state !== 'running')) return row;
    const participantId = lookup(askedTable, attempt.data.turnId)?.participantId ?? null;
    const before = row ?? { ...blank(attempt, key), participantId };
    const { revision } = event;
    const place = { revision, position: event.position.toString(), at: event.metadata.occurredAt };
    if (attempt.type === 'TurnClaimed') {
      const { provider, name } = attempt.data.prompt.model;
      return { ...before, ...place, provider, model: name, reserved: attempt.data.reserved };
    }
    const used = { ...before, ...place, ...attempt.data.usage };
    if (attempt.type === 'TurnAttemptAbandoned') return { ...used, state: 'abandoned' };
    const { model, participantId: speaker } = attempt.data;
    return {
      ...used,
      state: 'completed',
      participantId: speaker,
      provider: model?.provider ?? before.provider,
      model: model?.name ?? before.model,
    };
  },
};

function blank(event: AttemptEvent, key: string): UsageRow {
  return {
    key,
    turnId: event.data.turnId,
    attempt: event.data.attempt,
    discussionId: streamId(event.stream),
    project: event.metadata.project,
    participantId: null,
    provider: null,
    model: null,
    state: 'running',
    reserved: 0,
    inputTokens: 0,
    outputTokens: 0,
    source: null,
    revision: event.revision,
    position: event.position.toString(),
    at: event.metadata.occurredAt,
  };
}

export const usage: Projection = {
  name: 'usage',
  schemaVersion: 2,
  tables: [usageTable, askedTable],
  handles: ['TurnRequested', 'TurnClaimed', 'TurnCompleted', 'TurnAttemptAbandoned'],
  streamLocal: true,
};

const sums = `count(*) filter (where state <> 'running') as attempts,
  coalesce(sum(input_tokens), 0) as "inputTokens", coalesce(sum(output_tokens), 0) as "outputTokens",
  coalesce(sum(input_tokens + output_tokens) filter (where source <> 'reported'), 0) as "unreportedTokens",
  coalesce(sum(reserved) filter (where state = 'running'), 0) as "reservedTokens"`;

function sumOf(row: Record<string, unknown>): UsageSum {
  return {
    attempts: Number(row['attempts']),
    inputTokens: Number(row['inputTokens']),
    outputTokens: Number(row['outputTokens']),
    unreportedTokens: Number(row['unreportedTokens']),
    reservedTokens: Number(row['reservedTokens']),
  };
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** Sums of tokens, counted once per attempt. */
export function usageQueries(knex: Knex) {
  const from = liveView(usage, usageTable);
  /** Of ancestors, what had ended when they were forked: what was running then is theirs alone. */
  async function query(groupBy: string, parts: readonly HistoryPart[]): Promise<Record<string, unknown>[]> {
    const columns = groupBy === '' ? '' : `${groupBy}, `;
    const grouping = groupBy === '' ? '' : ` group by ${groupBy} order by ${groupBy}`;
    const result = await knex.raw<{ rows: Record<string, unknown>[] }>(
      `select ${columns}${sums} from ${from} u
       join unnest(?::text[], ?::int[]) part (id, until)
         on u.discussion_id = part.id
         and (part.until < 0 or (u.revision <= part.until and u.state <> 'running'))${grouping}`,
      [parts.map(({ discussionId }) => discussionId), parts.map(({ until }) => until ?? -1)],
    );
    return result.rows;
  }
  return {
    async ofDiscussion(parts: readonly HistoryPart[]): Promise<UsageSum> {
      const [row] = await query('', parts);
      return sumOf(row ?? {});
    },

    async byParticipant(parts: readonly HistoryPart[]): Promise<({ participantId: string | null } & UsageSum)[]> {
      const rows = await query('participant_id', parts);
      return rows.map((row) => ({ participantId: textOrNull(row['participant_id']), ...sumOf(row) }));
    },

    async byModel(
      parts: readonly HistoryPart[],
    ): Promise<({ provider: string | null; model: string | null } & UsageSum)[]> {
      const rows = await query('provider, model', parts);
      return rows.map((row) => ({
        provider: textOrNull(row['provider']),
        model: textOrNull(row['model']),
        ...sumOf(row),
      }));
    },
  };
}
