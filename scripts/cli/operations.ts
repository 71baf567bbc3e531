import type { Command } from 'commander';
import type { Operation } from '../../domain/operation.ts';
import { followOperation, printRows, printValue, type Printing } from './print.ts';
import { withService, type ReachOptions } from './reach.ts';

type Options = ReachOptions & Printing;

/** `colloquy operations list|show|wait|cancel`: long work, wherever it runs. */
export function addOperations(program: Command): void {
  const operations = program.command('operations').description('long work: rebuilds, backups, verifications');
  const command = (name: string, about: string) =>
    operations
      .command(name)
      .description(about)
      .option('--json', 'as JSON')
      .option('--data <folder>', 'data folder (COLLOQUY_DATA)');
  command('list', 'what is under way').action((options: Options) =>
    withService(options, async ({ remote }) => {
      const { data } = await remote.call<{ data: Operation[] }>('GET', '/operations');
      const rows = data.map(({ progress, ...each }) => ({ ...each, done: progress.done, total: progress.total }));
      printRows(rows, ['id', 'kind', 'status', 'done', 'total', 'startedAt'], options);
    }),
  );
  command('show <id>', 'how far it is, or how it ended').action((id: string, options: Options) =>
    withService(options, async ({ remote }) =>
      printValue(await remote.call<Operation>('GET', `/operations/${encodeURIComponent(id)}`), options),
    ),
  );
  command('wait <id>', 'follow it until it has ended; Ctrl-C leaves it running').action(
    (id: string, options: Options) =>
      withService(options, async ({ remote }) => {
        const operation = await remote.call<Operation>('GET', `/operations/${encodeURIComponent(id)}`);
        printValue(await followOperation(remote, operation, { unit: 'units' }), options);
      }),
  );
  command('cancel <id>', 'ask it to stop')
    .option('--dry-run', 'only show what would be stopped')
    .action((id: string, options: Options & { dryRun?: boolean }) =>
      withService(options, async ({ remote }) => {
        const method = options.dryRun === true ? 'GET' : 'DELETE';
        printValue(await remote.call<Operation>(method, `/operations/${encodeURIComponent(id)}`), options);
      }),
    );
}
