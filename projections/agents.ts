import type { Knex } from 'knex';
import type { AgentMemory, AgentModel, AgentProfile, Fallbacks } from '../domain/agent/events.ts';
import { streamId, streamKind } from '../domain/envelope.ts';
import type { LogEvent, Projection, Table } from './projection.ts';
import { decodeRow, liveView, selectList } from './tables.ts';

export type AgentRow = {
  id: string;
  project: string;
  name: string;
  /** The latest version. */
  version: number;
  instructions: string;
  model: AgentModel;
  fallbacks: Fallbacks;
  memory: AgentMemory | null;
  retired: boolean;
  revision: number;
  position: string;
  registeredPosition: string;
  registeredAt: string;
  updatedAt: string;
};

export type AgentVersionRow = {
  key: string;
  agentId: string;
  version: number;
  name: string;
  instructions: string;
  model: AgentModel;
  fallbacks: Fallbacks;
  memory: AgentMemory | null;
  at: string;
};

const agentsTable: Table<AgentRow> = {
  name: 'agents',
  columns: {
    id: 'text',
    project: 'text',
    name: 'text',
    version: 'integer',
    instructions: 'text',
    model: 'json',
    fallbacks: 'json',
    memory: 'json',
    retired: 'boolean',
    revision: 'integer',
    position: 'position',
    registeredPosition: 'position',
    registeredAt: 'time',
    updatedAt: 'time',
  },
  key: 'id',
  indexes: [{ name: 'by_project', on: ['project', 'registeredPosition'] }],
  creates: ['AgentRegistered'],
  keysOf: (event) => (streamKind(event.stream) === 'agent' ? [streamId(event.stream)] : []),
  evolve(row, event, id) {
    const place = {
      revision: event.revision,
      position: event.position.toString(),
      updatedAt: event.metadata.occurredAt,
    };
    if (event.type === 'AgentRegistered')
      return {
        ...profileColumns(event.data.profile),
        ...place,
        id,
        project: event.data.projectId,
        version: 1,
        retired: false,
        registeredPosition: place.position,
        registeredAt: place.updatedAt,
      };
    if (row === null) throw new Error(`${event.type} of an agent that was never registered`);
    if (event.type === 'AgentRevised')
      return { ...row, ...place, ...profileColumns(event.data.profile), version: event.data.version };
    return { ...row, ...place, retired: row.retired || event.type === 'AgentRetired' };
  },
};

const agentVersionsTable: Table<AgentVersionRow> = {
  name: 'agents_versions',
  columns: {
    key: 'text',
    agentId: 'text',
    version: 'integer',
    name: 'text',
    instructions: 'text',
    model: 'json',
    fallbacks: 'json',
    memory: 'json',
    at: 'time',
  },
  key: 'key',
  creates: ['AgentRegistered', 'AgentRevised'],
  once: true,
  keysOf: (event) => {
    const version = versionOf(event);
    return version === null ? [] : [versionKey(streamId(event.stream), version)];
  },
  evolve(row, event, key) {
    if (event.type !== 'AgentRegistered' && event.type !== 'AgentRevised') return row;
    return {
      ...profileColumns(event.data.profile),
      key,
      agentId: streamId(event.stream),
      version: versionOf(event) ?? 1,
      at: event.metadata.occurredAt,
    };
  },
};

export const agents: Projection = {
  name: 'agents',
  schemaVersion: 3,
  tables: [agentsTable, agentVersionsTable],
  handles: ['AgentRegistered', 'AgentRevised', 'AgentRetired'],
  streamLocal: true,
};

function profileColumns({ name, instructions, model, fallbacks = [], memory }: AgentProfile) {
  return { name, instructions, model, fallbacks, memory: memory ?? null };
}

function versionOf(event: LogEvent): number | null {
  if (event.type === 'AgentRegistered') return 1;
  return event.type === 'AgentRevised' ? event.data.version : null;
}

function versionKey(agentId: string, version: number): string {
  return `${agentId}/${version}`;
}

/** Queries of the read model `agents`. */
export function agentQueries(knex: Knex) {
  return {
    async one(id: string): Promise<AgentRow | null> {
      const row = await knex(liveView(agents, agentsTable))
        .select(knex.raw(selectList(agentsTable)))
        .where({ id })
        .first<Record<string, unknown> | undefined>();
      return row ? decodeRow(agentsTable, row) : null;
    },

    /** The agent as it was at one version. */
    async version(id: string, version: number): Promise<AgentVersionRow | null> {
      const row = await knex(liveView(agents, agentVersionsTable))
        .select(knex.raw(selectList(agentVersionsTable)))
        .where({ key: versionKey(id, version) })
        .first<Record<string, unknown> | undefined>();
      return row ? decodeRow(agentVersionsTable, row) : null;
    },

    /**
     * The newest first.
     * @param options.projects null for all; `before` is the `registeredPosition` of the last row seen.
     */
    async list(options: {
      projects: readonly string[] | null;
      retired?: boolean;
      before?: string;
      limit: number;
    }): Promise<AgentRow[]> {
      const query = knex(liveView(agents, agentsTable)).select<Record<string, unknown>[]>(
        knex.raw(selectList(agentsTable)),
      );
      if (options.projects) void query.whereIn('project', [...options.projects]);
      if (options.retired !== undefined) void query.where('retired', options.retired);
      if (options.before !== undefined) void query.where('registered_position', '<', options.before);
      const rows = await query.orderBy('registered_position', 'desc').limit(options.limit);
      return rows.map((row) => decodeRow(agentsTable, row));
    },
  };
}
