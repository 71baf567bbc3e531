import type { Command } from 'commander';
import { CliExit } from './exitCodes.ts';
import { printValue, type Printing } from './print.ts';
import { withService, type ReachOptions } from './reach.ts';

interface Prompt {
  readonly turnId: string;
  readonly number: number;
  readonly attempt: number;
  readonly renderer: string;
  readonly sha256: string;
  readonly recordedSha256: string;
  readonly matches: boolean;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly retrieved: readonly { readonly score: number; readonly author: string; readonly stream: string }[] | null;
  readonly recall: { readonly failed?: string } | null;
  readonly why: { readonly policy: string; readonly policyVersion: number; readonly reason: string };
}

/** `colloquy turns prompt <discussionId> <turnId>`, below the command `turns`. */
export function addPrompt(turns: Command): void {
  turns
    .command('prompt <discussionId> <turnId>')
    .description(
      'what the model was sent, rendered again from the log; exit code 8 when its hash is not the recorded one',
    )
    .option('--attempt <n>', 'which attempt, else the one that completed the turn or the last one')
    .option('--json', 'as JSON')
    .option('--data <folder>', 'data folder (COLLOQUY_DATA)')
    .action((discussionId: string, turnId: string, options: ReachOptions & Printing & { attempt?: string }) =>
      withService(options, async ({ remote }) => {
        const query =
          options.attempt === undefined ? '' : `?${new URLSearchParams({ attempt: options.attempt }).toString()}`;
        const path = `/discussions/${encodeURIComponent(discussionId)}/turns/${encodeURIComponent(turnId)}/prompt`;
        const prompt = await remote.call<Prompt>('GET', path + query);
        if (options.json === true) printValue(prompt, options);
        else show(prompt);
        if (!prompt.matches)
          throw new CliExit(8, `the log renders to ${prompt.sha256}, but ${prompt.recordedSha256} was recorded`);
      }),
    );
}

/** The messages on stdout, what is known about them on stderr. */
function show({ number, attempt, renderer, sha256, matches, messages, retrieved, recall, why }: Prompt): void {
  console.error(`turn ${number}, attempt ${attempt}, renderer ${renderer}`);
  console.error(`asked by ${why.policy} (version ${why.policyVersion}): ${why.reason}`);
  if (recall?.failed !== undefined) console.error(`recalled nothing: the search was ${recall.failed}`);
  for (const { score, author, stream } of retrieved ?? [])
    console.error(`recalled from ${author}, ${stream}, similarity ${score.toFixed(2)}`);
  for (const { role, content } of messages) process.stdout.write(`--- ${role}\n${content}\n`);
  console.error(`sha256 ${sha256}${matches ? ', as recorded before the model was asked' : ''}`);
}
