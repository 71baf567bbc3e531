import { InvalidArgumentError, type Command } from 'commander';
import type { Remote } from '../remote.ts';
import { printRows, printValue, type Printing } from './print.ts';
import { addPrompt } from './prompt.ts';
import { withService, type ReachOptions } from './reach.ts';

type Options = ReachOptions & Printing;

interface OpenTurn {
  readonly turnId: string;
  readonly discussionId: string;
  readonly projectId: string;
  readonly number: number;
  readonly status: string;
  readonly worker: string | null;
  readonly stuck: { readonly reason: string; readonly seconds: number; readonly detail: string } | null;
}

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 };

/** `colloquy turns list|show|cancel|retry`. */
export function addTurns(program: Command): void {
  const turns = program.command('turns').description('chances to speak: which are open, which are stuck, and why');
  const command = (name: string, about: string) =>
    turns
      .command(name)
      .description(about)
      .option('--json', 'as JSON')
      .option('--data <folder>', 'data folder (COLLOQUY_DATA)');
  command('list', 'open turns over all discussions, the stuck ones first')
    .option('--stuck', 'only those that do not go on')
    .option('--older-than <time>', 'how long what should have happened may be late: 90s, 5m, 1h', secondsOf, 60)
    .option('--limit <n>', 'how many, 1 to 200', '200')
    .action((options: Options & { stuck?: boolean; olderThan: number; limit: string }) => list(options));
  command('show <discussionId> <turnId>', 'one turn with its attempts').action(
    (discussionId: string, turnId: string, options: Options) =>
      withService(options, async ({ remote }) => printValue(await turnOf(remote, discussionId, turnId), options)),
  );
  addPrompt(turns);
  for (const [verb, about] of [
    ['cancel', 'end an open turn; what was written so far is kept'],
    ['retry', 'ask for the last turn again after it failed, was skipped or cancelled'],
  ] as const)
    command(`${verb} <discussionId> <turnId>`, about)
      .option('--dry-run', 'only show the turn')
      .action((discussionId: string, turnId: string, options: Options & { dryRun?: boolean }) =>
        withService(options, async ({ remote }) => {
          const turn = await turnOf(remote, discussionId, turnId);
          if (options.dryRun === true)
            return printValue({ would: verb, turnId, number: turn['number'], status: turn['status'] }, options);
          printValue(await remote.call('POST', `${pathOf(discussionId, turnId)}/${verb}`), options);
        }),
      );
}

function pathOf(discussionId: string, turnId: string): string {
  return `/discussions/${encodeURIComponent(discussionId)}/turns/${encodeURIComponent(turnId)}`;
}

function turnOf(remote: Remote, discussionId: string, turnId: string): Promise<Record<string, unknown>> {
  return remote.call('GET', pathOf(discussionId, turnId));
}

function list(options: Options & { stuck?: boolean; olderThan: number; limit: string }): Promise<void> {
  return withService(options, async ({ remote }) => {
    const query = new URLSearchParams({
      stuck: String(options.stuck === true),
      olderThanSeconds: String(options.olderThan),
      limit: options.limit,
    });
    const { data, nextCursor } = await remote.call<{ data: OpenTurn[]; nextCursor: string | null }>(
      'GET',
      `/turns?${query.toString()}`,
    );
    if (options.json === true) printRows(data, [], options);
    else {
      const rows = data.map(({ stuck, ...turn }) => ({
        ...turn,
        stuck: stuck?.reason ?? null,
        seconds: stuck?.seconds ?? null,
      }));
      printRows(rows, ['discussionId', 'turnId', 'number', 'status', 'stuck', 'seconds', 'worker'], options);
      for (const [reason, detail] of new Map(
        data.flatMap(({ stuck }) => (stuck ? [[stuck.reason, stuck.detail]] : [])),
      ))
        console.error(`${reason}: ${detail}`);
    }
    if (nextCursor !== null) console.error(`the first ${data.length}: there are more`);
  });
}

/** @throws InvalidArgumentError for a time that is none. */
function secondsOf(text: string): number {
  const [, number, unit = 's'] = /^(\d{1,7})([smh])?$/.exec(text) ?? [];
  if (number === undefined) throw new InvalidArgumentError('a time such as 90s, 5m or 1h');
  return Number(number) * (UNITS[unit] ?? 1);
}
