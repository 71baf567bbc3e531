import type { Knex } from 'knex';
import type { Projection, Table } from './projection.ts';
import { decodeRow, liveView, selectList } from './tables.ts';

/** What a command wrote: looked up when its id comes again. */
export type CommandRow = {
  commandId: string;
  stream: string;
  project: string;
  firstRevision: number;
  lastRevision: number;
  lastPosition: string;
  /** Null for what a worker asked. */
  bodySha256: string | null;
  /** Null for what a worker asked. */
  requestId: string | null;
  correlationId: string;
};

export const commandsTable: Table<CommandRow> = {
  name: 'commands',
  columns: {
    commandId: 'text',
    stream: 'text',
    project: 'text',
    firstRevision: 'integer',
    lastRevision: 'integer',
    lastPosition: 'position',
    bodySha256: 'text',
    requestId: 'text',
    correlationId: 'text',
  },
  // Only what was asked by HTTP is looked for: what workers ask follows in the same stream.
  indexes: [
    { name: 'by_request', on: ['requestId'], where: 'request_id is not null' },
    { name: 'by_correlation', on: ['correlationId'], where: 'request_id is not null' },
  ],
  key: 'commandId',
  // Always their command's first event, and its id follows from their own stream or request: without this each turn would
  // cost two reads, and a rebuild one key looked up for every event.
  creates: ['DiscussionOpened', 'AgentRegistered', 'TurnClaimed', 'TurnCompleted'],
  keysOf: (event) => [event.metadata.commandId],
  evolve(row, event) {
    const { stream, revision } = event;
    const lastPosition = event.position.toString();
    if (row === null) {
      const { commandId, project, bodySha256 = null, requestId = null, correlationId } = event.metadata;
      const place = { stream, project, firstRevision: revision, lastRevision: revision, lastPosition };
      return { commandId, ...place, bodySha256, requestId, correlationId };
    }
    // A command writes to one stream; should an id turn up in another, what it did first stays its outcome.
    return row.stream === stream ? { ...row, lastRevision: revision, lastPosition } : row;
  },
};

export const commands: Projection = { name: 'commands', schemaVersion: 2, tables: [commandsTable] };

/** Queries of the read model `commands`. */
export function commandQueries(knex: Knex) {
  return {
    /**
     * What a command did, and the position up to which the log had been looked through for it. Both come from one
     * statement: read one after the other, an event applied in between would be in neither.
     */
    async find(commandId: string): Promise<{ row: CommandRow | null; checkpoint: bigint }> {
      const result = await knex.raw<{ rows: Record<string, unknown>[] }>(
        `select p.position::text as "checkpoint", ${selectList(commandsTable, 'c')}
         from (select 1) one
         left join projections p on p.name = ? and p.schema_version = ? and p.status = 'live'
         left join ${liveView(commands, commandsTable)} c on c.command_id = ?`,
        [commands.name, commands.schemaVersion, commandId],
      );
      const found = result.rows[0];
      const row = found && typeof found['commandId'] === 'string' ? decodeRow(commandsTable, found) : null;
      return { row, checkpoint: BigInt(typeof found?.['checkpoint'] === 'string' ? found['checkpoint'] : 0) };
    },

    /** What was asked over HTTP by a request of this id, or in the course of this correlation; the oldest first. */
    async askedOverHttp(id: string, limit: number): Promise<CommandRow[]> {
      const result = await knex.raw<{ rows: Record<string, unknown>[] }>(
        `select ${selectList(commandsTable)} from ${liveView(commands, commandsTable)}
         where request_id is not null and (request_id = ? or correlation_id = ?) order by last_position limit ?`,
        [id, id, limit],
      );
      return result.rows.map((row) => decodeRow(commandsTable, row));
    },
  };
}
