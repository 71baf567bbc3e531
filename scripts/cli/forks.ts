import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { Refusal } from '../../domain/refusal.ts';
import { printRows, printValue, type Printing } from './print.ts';
import { withService, type ReachOptions } from './reach.ts';
import { whole } from './whole.ts';

type Options = ReachOptions & Printing;

interface Forked {
  readonly id: string;
  readonly status: string;
  readonly currentTurn: { readonly number: number } | null;
}

interface Relative {
  readonly id: string;
  readonly title: string;
  readonly revision: number;
}

interface Said {
  readonly author: { readonly name: string };
  readonly turnNumber: number | null;
  readonly text: string;
}

interface Compared {
  readonly common: object;
  readonly differences: object;
  readonly messages: { readonly here: readonly Said[]; readonly there: readonly Said[] };
  readonly nextCursor: string | null;
}

/** `colloquy discussions fork|lineage|diff`, below the command `discussions`. @returns that command. */
export function addForks(discussions: Command): Command {
  const command = (name: string, about: string) =>
    discussions
      .command(name)
      .description(about)
      .option('--json', 'as JSON')
      .option('--data <folder>', 'data folder (COLLOQUY_DATA)');
  command('fork <id>', 'open a discussion that goes on from an event of this one, which stays as it is')
    .requiredOption('--at-revision <n>', 'the last event that the fork shares', whole(0, 999_999_999))
    .option('--title <text>', "its title, else the parent's")
    .option('--overrides <file>', 'a JSON file with what the fork has otherwise: policy, limits, agents')
    .action((id: string, options: Options & ForkOptions) => fork(id, options));
  command('lineage <id>', 'what a discussion was forked from, and what was forked from it').action(
    (id: string, options: Options) => lineage(id, options),
  );
  command('diff <id> <otherId>', 'where two discussions of one lineage part, and how they differ since').action(
    (id: string, otherId: string, options: Options) => diff(id, otherId, options),
  );
  return discussions;
}

interface ForkOptions {
  readonly atRevision: number;
  readonly title?: string;
  readonly overrides?: string;
}

async function fork(id: string, { atRevision, title, overrides, ...options }: Options & ForkOptions): Promise<void> {
  const given = overrides === undefined ? undefined : await jsonIn(overrides);
  const body = {
    atRevision,
    ...(title === undefined ? {} : { title }),
    ...(given === undefined ? {} : { overrides: given }),
  };
  await withService(options, async ({ remote }) =>
    printValue(await remote.call<Forked>('POST', `/discussions/${encodeURIComponent(id)}/fork`, { body }), options),
  );
}

async function jsonIn(file: string): Promise<unknown> {
  const text = await readFile(file, 'utf8');
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Refusal('invalid', `${file} is no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function lineage(id: string, options: Options): Promise<void> {
  return withService(options, async ({ remote }) => {
    const relatives: (Relative & { relation: 'ancestor' | 'child' })[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const path: string = `/discussions/${encodeURIComponent(id)}/lineage?limit=200${cursor}`;
      const page = await remote.call<{ ancestors: Relative[]; children: Relative[]; nextCursor: string | null }>(
        'GET',
        path,
      );
      if (cursor === '') relatives.push(...page.ancestors.map((each) => ({ relation: 'ancestor' as const, ...each })));
      relatives.push(...page.children.map((each) => ({ relation: 'child' as const, ...each })));
      cursor = page.nextCursor === null ? null : `&cursor=${page.nextCursor}`;
    }
    printRows(relatives, ['relation', 'id', 'revision', 'title'], options);
  });
}

function diff(id: string, otherId: string, options: Options): Promise<void> {
  return withService(options, async ({ remote }) => {
    for (let cursor: string | null = ''; cursor !== null;) {
      const path: string = `/discussions/${encodeURIComponent(id)}/diff?limit=200&with=${encodeURIComponent(otherId)}${cursor}`;
      const page = await remote.call<Compared>('GET', path);
      if (options.json === true) printValue(page, options);
      else {
        const { here, there } = page.messages;
        if (cursor === '') printValue({ common: page.common, ...page.differences }, options);
        const rows = [...here.map((said) => rowOf('here', said)), ...there.map((said) => rowOf('there', said))];
        if (rows.length > 0) printRows(rows, ['side', 'turn', 'author', 'text'], options);
      }
      cursor = page.nextCursor === null ? null : `&cursor=${page.nextCursor}`;
    }
  });
}

function rowOf(side: string, { author, turnNumber, text }: Said) {
  return { side, turn: turnNumber, author: author.name, text };
}
