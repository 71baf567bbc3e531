/** `colloquy projections reset`: for a log that is not the one the read models were built from, where no service starts. */
import type { Command } from 'commander';
import { Refusal } from '../../domain/refusal.ts';
import { readSettings } from '../../infra/config.ts';
import { printValue } from './print.ts';

interface ResetOptions {
  readonly data?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** Adds the command to `projections`; call it after whatever else adds to that. */
export function addProjectionsReset(program: Command): void {
  const projections =
    program.commands.find((each) => each.name() === 'projections') ??
    program.command('projections').description('read models');
  projections
    .command('reset')
    .description('drop all read models, with no service running: the next start builds them from the log')
    .option('--data <folder>', 'data folder (COLLOQUY_DATA)')
    .option('--dry-run', 'only say what would be dropped')
    .option('--json', 'as JSON')
    .action(reset);
}

async function reset({ data, dryRun = false, json = false }: ResetOptions): Promise<void> {
  const [{ openRestoreTarget }, { allTables, dropDerived }, { createLogger }, { READ_MODEL_TABLE }] = await Promise.all(
    [
      import('../backupTarget.ts'),
      import('../../infra/postgresBackup.ts'),
      import('../../infra/logging.ts'),
      import('../../domain/backup/tables.ts'),
    ],
  );
  const settings = readSettings(data === undefined ? {} : { COLLOQUY_DATA: data });
  const target = await openRestoreTarget(settings, createLogger(settings.LOG_LEVEL));
  try {
    const others = await target.others();
    if (others > 0)
      throw new Refusal('conflict', `${others} connections of other processes use the database: stop them all first`);
    const tables = (await allTables(target.knex)).filter((table) => READ_MODEL_TABLE.test(table));
    if (!dryRun) await dropDerived(target.knex);
    printValue({ dropped: tables, dryRun }, { json });
  } finally {
    await target.close();
  }
}
