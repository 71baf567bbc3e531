import { type Command, Option } from 'commander';
import type { Remote } from '../remote.ts';
import { CliExit } from './exitCodes.ts';
import { printRows, printValue, type Printing } from './print.ts';
import { withService, type ReachOptions } from './reach.ts';

type Options = ReachOptions & Printing;

interface Letter {
  readonly id: string;
  readonly projection: string;
  readonly status: string;
  readonly stream: string;
  readonly type: string;
  readonly laterEvents: number;
  readonly error: string;
}

/** Letters listed at most. */
const MAX_LETTERS = 2_000;

/** `colloquy dead-letters list|show|retry|skip`: events that a read model could not take. */
export function addDeadLetters(program: Command): void {
  const letters = program
    .command('dead-letters')
    .description('events that a read model could not take; the rest of their stream waits behind them');
  const command = (name: string, about: string) =>
    letters
      .command(name)
      .description(about)
      .option('--json', 'as JSON')
      .option('--data <folder>', 'data folder (COLLOQUY_DATA)');
  command('list', 'all of them, in log order')
    .option('--projection <name>', 'of one read model')
    .addOption(new Option('--status <status>', 'only these').choices(['waiting', 'skipped']))
    .action((options: Options & { projection?: string; status?: string }) =>
      withService(options, async ({ remote }) => {
        const rows = await listed(remote, options);
        printRows(rows, ['id', 'projection', 'status', 'stream', 'type', 'laterEvents', 'error'], options);
      }),
    );
  command('show <id>', 'one of them, with its event; what was said only as lengths')
    .option('--reveal', 'with its texts: takes an administrator, and is logged')
    .action((id: string, options: Options & { reveal?: boolean }) =>
      withService(options, async ({ remote }) =>
        printValue(await remote.call('GET', `${pathOf(id)}${options.reveal === true ? '?reveal=true' : ''}`), options),
      ),
    );
  command('retry <id>', 'apply the event again, and then what waited behind it')
    .option('--dry-run', 'only show what would be applied')
    .action((id: string, options: Options & { dryRun?: boolean }) => settle(id, 'retry', undefined, options));
  command('skip <id>', 'pass over the event for good, and apply what waited behind it')
    .requiredOption('--reason <text>', 'why: kept with who skipped it, and when')
    .option('--dry-run', 'only show what would be skipped')
    .action((id: string, options: Options & { reason: string; dryRun?: boolean }) =>
      settle(id, 'skip', { reason: options.reason }, options),
    );
}

function pathOf(id: string): string {
  return `/dead-letters/${encodeURIComponent(id)}`;
}

async function listed(remote: Remote, { projection, status }: { projection?: string; status?: string }) {
  const letters: Letter[] = [];
  let cursor: string | null = '';
  while (cursor !== null && letters.length < MAX_LETTERS) {
    const query = new URLSearchParams({
      limit: '200',
      ...(projection === undefined ? {} : { projection }),
      ...(status === undefined ? {} : { status }),
      ...(cursor === '' ? {} : { cursor }),
    });
    const page: { data: Letter[]; nextCursor: string | null } = await remote.call(
      'GET',
      `/dead-letters?${query.toString()}`,
    );
    letters.push(...page.data);
    cursor = page.nextCursor;
  }
  if (cursor !== null) console.error(`the first ${letters.length}: there are more`);
  return letters;
}

/** Applying may take longer than a page does. */
const SETTLE_MS = 120_000;

function settle(
  id: string,
  verb: 'retry' | 'skip',
  body: object | undefined,
  options: Options & { dryRun?: boolean },
): Promise<void> {
  return withService(options, async ({ remote }) => {
    if (options.dryRun === true) {
      const letter = await remote.call<Letter>('GET', pathOf(id));
      return printValue(
        { would: verb, event: letter.type, stream: letter.stream, thenApply: letter.laterEvents },
        options,
      );
    }
    const done = await remote.call<{ applied: number; letter: Letter | null }>('POST', `${pathOf(id)}/${verb}`, {
      ...(body === undefined ? {} : { body }),
      timeoutMs: SETTLE_MS,
    });
    printValue(done, options);
    if (done.letter !== null)
      throw new CliExit(7, `its stream now waits behind ${done.letter.type}: ${done.letter.error}`);
  });
}
