/** `colloquy events …`: the log and the proof that nobody changed it. */
import { readFile, writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { Verdict } from '../../domain/audit/verifyLog.ts';
import type { Operation } from '../../domain/operation.ts';
import { CliExit } from './exitCodes.ts';
import { addEventsExport } from './exports.ts';
import { followOperation, printRows, printValue } from './print.ts';
import { withLog } from './reach.ts';

interface Common {
  readonly data?: string;
  readonly json?: boolean;
}

/** Adds the commands. @returns `colloquy events`, for others to add theirs. */
export function addEvents(program: Command): Command {
  const events = program.command('events').description('the log: verify, prove, export, trace');
  const add = (name: string, about: string) =>
    events
      .command(name)
      .description(about)
      .option('--data <folder>', 'data folder (COLLOQUY_DATA)')
      .option('--json', 'as JSON');
  add('verify', 'hold the whole log against its signed checkpoints; exit code 8 names the first bad event')
    .option('--checkpoint <file...>', 'signed notes that you have kept, to be held against the log too')
    .action(verify);
  add('checkpoints', 'the newest signed checkpoints').action(async (options: Common) => {
    await withLog(options, async ({ remote }) => {
      const { data } = await remote.call<{ data: CheckpointRow[] }>('GET', '/audit/checkpoints');
      printRows(data, ['size', 'position', 'at', 'root'], options);
    });
  });
  add('checkpoint', 'sign a checkpoint over all events now')
    .option('--out <file>', 'also write the signed note there, to be kept elsewhere')
    .action(checkpoint);
  add('key', 'the public key that checkpoints are signed with').action(async (options: Common) => {
    await withLog(options, async ({ remote }) => printValue(await remote.call('GET', '/audit/key'), options));
  });
  add('proof <position>', 'the proof that the event at a position is in the log').action(
    async (position: string, options: Common) => {
      await withLog(options, async ({ remote }) => {
        const path = `/audit/proof?position=${encodeURIComponent(position)}`;
        printValue(await remote.call('GET', path), options);
      });
    },
  );
  addEventsExport(events);
  return events;
}

interface CheckpointRow {
  readonly size: number;
  readonly position: string;
  readonly at: string;
  readonly root: string;
  readonly note: string;
}

async function verify(options: Common & { checkpoint?: string[] }): Promise<void> {
  const checkpoints = await Promise.all((options.checkpoint ?? []).map((file) => readFile(file, 'utf8')));
  const verdict = await withLog(options, async ({ remote, running }) => {
    const started = await remote.call<Operation>('POST', '/audit/verify', { body: { checkpoints } });
    return (await followOperation(remote, started, { unit: 'events', running })) as Verdict;
  });
  if (options.json === true) printValue(verdict, options);
  const { coveredTo, notCovered, firstBad, findings } = verdict;
  if (options.json !== true)
    console.log(
      coveredTo === null
        ? 'no event is covered by a checkpoint'
        : `events up to position ${coveredTo.position} are those of the ${verdict.checkpoints} checkpoints, the last of ${coveredTo.at}`,
    );
  if (notCovered !== null && notCovered > 0)
    console.error(`${notCovered} events are younger than the last checkpoint: not yet covered`);
  if (verdict.verdict === 'ok') return;
  for (const { where, kind, says } of findings) console.error(`${where}: ${kind}: ${says}`);
  const named =
    firstBad === null
      ? 'the evidence was changed, the log was not'
      : `first bad event: position ${firstBad.position ?? '-'}, ${firstBad.stream ?? 'no stream'} revision ${firstBad.revision ?? '-'}, id ${firstBad.eventId ?? '-'}`;
  throw new CliExit(8, named);
}

async function checkpoint(options: Common & { out?: string }): Promise<void> {
  await withLog(options, async ({ remote }) => {
    const made = await remote.call<CheckpointRow>('POST', '/audit/checkpoints');
    if (options.out !== undefined) await writeFile(options.out, made.note);
    printValue(made, options);
  });
}
