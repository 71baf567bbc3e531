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
  },
  key: 'commandId',
  // Always their command's first event, and its id follows from their own stream or request: without this each turn would
  // cost two reads, and a rebuild one key looked up for every event.
  creates: ['DiscussionOpened', 'AgentRegistered', 'TurnClaimed', 'TurnCompleted'],
  keysOf: (event) => [event.metadata.commandId],
  evolve(row, event) {
    const { commandId, project } = event.metadata;
    const bodySha256 = event.metadata.bodySha256 ?? null;
    const { stream, revision } = event;
    const lastPosition = event.position.toString();
    if (row === null)
      return { commandId, stream, project, firstRevision: revision, lastRevision: revision, lastPosition, bodySha256 };
    // A command writes to one stream; should an id turn up in another, what it did first stays its outcome.
    return row.stream === stream ? { ...row, lastRevision: revision, lastPosition } : row;
  },
};

export const commands: Projection = { name: 'commands', schemaVersion: 1, tables: [commandsTable] };

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
  };
}
