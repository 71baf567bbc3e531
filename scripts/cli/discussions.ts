import { Option, type Command } from 'commander';
import type { DiscussionEvent } from '../../domain/discussion/events.ts';
import type { Remote } from '../remote.ts';
import { CliExit } from './exitCodes.ts';
import { printRows, printValue, type Printing } from './print.ts';
import { withService, type ReachOptions } from './reach.ts';
import { createReplayLines, type ReplayStart } from './replayLines.ts';

type Options = ReachOptions & Printing;
type Query = Readonly<Record<string, string | undefined>>;

interface End {
  readonly revision: number;
  readonly events: number;
  readonly stateHash: string;
}

/** A stream that breaks off this often without an event between is given up. */
const MAX_BREAKS = 5;

/** `colloquy discussions list|show|replay`. @returns the command, for what else belongs below it. */
export function addDiscussions(program: Command): Command {
  const discussions = program.command('discussions').description('discussions, now and as they were');
  const command = (name: string, about: string) =>
    discussions
      .command(name)
      .description(about)
      .option('--json', 'as JSON')
      .option('--data <folder>', 'data folder (COLLOQUY_DATA)');
  command('list', 'the newest first')
    .addOption(new Option('--status <status>', 'only these').choices(['open', 'paused', 'concluded']))
    .option('--project <id>', 'only those of a project')
    .option('--limit <n>', 'how many, 1 to 200', '50')
    .action((options: Options & { status?: string; project?: string; limit: string }) => list(options));
  command('show <id>', 'one discussion, now or as it was')
    .option('--at-revision <n>', 'with this revision as its last event')
    .option('--at <time>', 'at this time (RFC 3339)')
    .action((id: string, options: Options & { atRevision?: string; at?: string }) =>
      withService(options, async ({ remote }) =>
        printValue(
          await remote.call('GET', pathOf(id, '', { atRevision: options.atRevision, at: options.at })),
          options,
        ),
      ),
    );
  command('replay <id>', 'play it again as it happened, from the log alone: no model is asked')
    .option('--speed <n>', 'how many times as fast, 0 for without pauses', '1')
    .option('--from <revision>', 'begin with this event')
    .option('--to <revision>', 'end with this event')
    .option('--at <time>', 'end at this time (RFC 3339)')
    .action((id: string, options: ReplayOptions) => withService(options, ({ remote }) => replay(remote, id, options)));
  return discussions;
}

function pathOf(id: string, below: string, query: Query): string {
  const given = Object.entries(query).filter((each): each is [string, string] => each[1] !== undefined);
  return `/discussions/${encodeURIComponent(id)}${below}${given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`}`;
}

function list({ status, project, limit, ...options }: Options & { status?: string; project?: string; limit: string }) {
  return withService(options, async ({ remote }) => {
    const query = new URLSearchParams({ limit });
    if (status !== undefined) query.set('status', status);
    if (project !== undefined) query.set('projectId', project);
    const { data, nextCursor } = await remote.call<{ data: Listed[]; nextCursor: string | null }>(
      'GET',
      `/discussions?${query.toString()}`,
    );
    printRows(data, ['id', 'status', 'turnsCompleted', 'messages', 'updatedAt', 'title'], options);
    if (nextCursor !== null) console.error(`the newest ${data.length}: there are more`);
  });
}

interface Listed {
  readonly id: string;
  readonly status: string;
  readonly turnsCompleted: number;
  readonly messages: number;
  readonly updatedAt: string;
  readonly title: string;
}

type ReplayOptions = Options & { speed: string; from?: string; to?: string; at?: string };

async function replay(remote: Remote, id: string, options: ReplayOptions): Promise<void> {
  const { speed, from, to, at } = options;
  const path = pathOf(id, '/replay', { speed, from, to, at });
  const linesOf = createReplayLines(options.json === true ? null : await stateBefore(remote, id, from));
  let lastEventId: string | undefined;
  for (let breaks = 0; breaks < MAX_BREAKS; breaks += 1) {
    const seen = lastEventId === undefined ? {} : { lastEventId };
    for await (const { event, id: place, data } of remote.stream(path, {
      signal: new AbortController().signal,
      ...seen,
    })) {
      if (event === 'end') return end(data as End, options);
      if (place === undefined) continue;
      [lastEventId, breaks] = [place, 0];
      if (options.json === true) printValue(data, options);
      else process.stdout.write(shown(data as Wire, linesOf(data as Wire)));
    }
  }
  throw new CliExit(1, `the replay broke off after revision ${lastEventId ?? 'none'}`);
}

/** Who is who when a replay begins in the middle; what cannot be read is refused by the replay itself. */
async function stateBefore(remote: Remote, id: string, from = '0'): Promise<ReplayStart | null> {
  if (!(Number(from) > 0)) return null;
  const path = pathOf(id, '', { atRevision: String(Number(from) - 1) });
  return remote.call<ReplayStart>('GET', path).catch(() => null);
}

type Wire = DiscussionEvent & { readonly revision: number; readonly occurredAt: string };

function shown({ revision, occurredAt }: Wire, lines: readonly string[]): string {
  const head = `${occurredAt.slice(11, 23)} ${String(revision).padStart(5)}  `;
  const text = lines.join('\n').replaceAll('\n', `\n${' '.repeat(head.length)}`);
  // Whatever was said, it must not command the terminal.
  return `${head}${text.replaceAll(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, ' ')}\n`;
}

function end(ended: End, options: Options): void {
  if (options.json === true) return printValue(ended, options);
  console.error(`revision ${ended.revision}, ${ended.events} events shown, state ${ended.stateHash}`);
}
