/** `colloquy discussions export`, `colloquy events export`, `colloquy import`. */
import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { printValue } from './print.ts';
import { withService } from './reach.ts';

interface Common {
  readonly data?: string;
  readonly json?: boolean;
  readonly out: string;
}

const withOptions = (command: Command): Command =>
  command
    .requiredOption('--out <file>', 'where to write it; - for stdout')
    .option('--data <folder>', 'data folder (COLLOQUY_DATA)')
    .option('--json', 'as JSON');

/** Adds `export` to `colloquy discussions`. */
export function addDiscussionExport(discussions: Command): void {
  withOptions(discussions.command('export <id>'))
    .description('a discussion with the proof of all its events, for `colloquy-verify` and `colloquy import`')
    .action((id: string, options: Common) => download(`/discussions/${encodeURIComponent(id)}/export`, options));
}

/** Adds `export` to `colloquy events`. */
export function addEventsExport(events: Command): void {
  withOptions(events.command('export'))
    .description('the log from one position to another with its proof')
    .option('--from <position>', 'first position', '0')
    .option('--to <position>', 'last position; the end of the log unless said')
    .action((options: Common & { from: string; to?: string }) => {
      const to = options.to === undefined ? '' : `&to=${encodeURIComponent(options.to)}`;
      return download(`/events/export?from=${encodeURIComponent(options.from)}${to}`, options);
    });
}

/** Adds `colloquy import`. */
export function addImport(program: Command): void {
  program
    .command('import <file>')
    .description('verify an export and put its events into a new data folder, to be looked at with `colloquy start`')
    .requiredOption('--data <folder>', 'a folder that does not exist yet, or is empty')
    .option('--key <file or text>', 'the public key that must have signed it')
    .option('--json', 'as JSON')
    .action(async (file: string, options: { data: string; key?: string; json?: boolean }) =>
      printValue(await (await import('../importEvents.ts')).importEvents(file, options), options),
    );
}

/** Whole or not at all: what breaks off leaves no file under the name. */
async function download(path: string, options: Common): Promise<void> {
  const { out } = options;
  await withService(options, async ({ remote }) => {
    const bytes = Readable.from(remote.download(path, { signal: new AbortController().signal }));
    if (out === '-') return pipeline(bytes, process.stdout, { end: false });
    const draft = `${out}.${process.pid}.part`;
    try {
      await pipeline(bytes, createWriteStream(draft, { mode: 0o600 }));
      await rename(draft, out);
    } finally {
      await rm(draft, { force: true });
    }
    console.error(`written to ${out}; check it with: colloquy-verify ${out} --key <public key>`);
  });
}
