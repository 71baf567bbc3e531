import { Option, type Command } from 'commander';
import { passageKinds } from '../../domain/meaning/vectorIndex.ts';
import { printRows, type Printing } from './print.ts';
import { withService, type ReachOptions } from './reach.ts';
import { shorten, type Snippet } from './snippet.ts';
import { whole } from './whole.ts';

interface SearchOptions extends ReachOptions, Printing {
  readonly mode: string;
  readonly kind?: string;
  readonly discussion?: string;
  readonly agent?: string;
  readonly project?: string;
  readonly from?: string;
  readonly to?: string;
  readonly limit: number;
}

interface Hit {
  readonly score: number;
  readonly kind: string;
  readonly discussionId: string;
  readonly agentId: string | null;
  readonly at: string;
  readonly snippet: Snippet;
  readonly event: { readonly revision: number };
}

/** A model that is loaded for the first query takes its time. */
const ANSWER_MS = 30_000;
/** Of a snippet, in UTF-16 units. */
const SHOWN = 320;

/** `colloquy search`. */
export function addSearch(program: Command): void {
  program
    .command('search <query>')
    .description('find what was said, and in documents: by words, by meaning, or by both')
    .addOption(new Option('--mode <mode>', 'by what').choices(['semantic', 'keyword', 'hybrid']).default('hybrid'))
    .addOption(new Option('--kind <kind>', 'only these').choices(passageKinds))
    .option('--discussion <id>', 'only in this one, and what it shares with those it was forked from')
    .option('--agent <id>', 'only what this agent said')
    .option('--project <id>', 'only in this project')
    .option('--from <time>', 'said at this time or later (RFC 3339)')
    .option('--to <time>', 'said before this time (RFC 3339)')
    .option('--limit <n>', 'how many, 1 to 100', whole(1, 100), 10)
    .option('--json', 'as JSON')
    .option('--data <folder>', 'data folder (COLLOQUY_DATA)')
    .action((query: string, options: SearchOptions) => search(query, options));
}

function search(query: string, options: SearchOptions): Promise<void> {
  return withService(options, async ({ remote }) => {
    const { mode, kind, discussion: discussionId, agent: agentId, project: projectId, from, to, limit } = options;
    const kinds = kind === undefined ? undefined : [kind];
    const { data } = await remote.call<{ data: Hit[] }>('POST', '/search', {
      body: { query, mode, kinds, discussionId, agentId, projectId, from, to, limit },
      timeoutMs: ANSWER_MS,
    });
    if (options.json === true) return printRows(data, [], options);
    process.stdout.write(data.map((hit) => shown(hit, process.stdout.isTTY)).join('\n'));
    if (data.length === 0) console.error('nothing found');
  });
}

function shown({ score, at, kind, agentId, discussionId, event, snippet }: Hit, bold: boolean): string {
  const who = kind === 'document' ? 'document' : agentId === null ? 'person' : `agent ${agentId}`;
  const head = `${score.toFixed(4)}  ${at.slice(0, 19)}Z  ${who}\n        discussion ${discussionId}, revision ${event.revision}`;
  return `${head}\n        ${marked(shorten(snippet, SHOWN), bold)}\n`;
}

function marked({ text, highlights }: Snippet, bold: boolean): string {
  let [line, done] = ['', 0];
  for (const [from, to] of highlights) {
    const word = plain(text.slice(from, to));
    line += plain(text.slice(done, from)) + (bold ? `\u001b[1m${word}\u001b[22m` : word);
    done = to;
  }
  return line + plain(text.slice(done));
}

/** On one line; and whatever was said, it must not command the terminal. */
function plain(text: string): string {
  return text.replaceAll(/[\s\u0000-\u001f\u007f-\u009f]+/g, ' ');
}
