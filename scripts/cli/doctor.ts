import type { Command } from 'commander';
import { CliExit } from './exitCodes.ts';
import { printRows, type Printing } from './print.ts';
import type { ReachOptions } from './reach.ts';

const SIGNS = { ok: 'ok', warn: '!', fail: 'FAIL', unknown: '-' } as const;

/** `colloquy doctor`: what is not well, and what to do about it. */
export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description('look at everything, from the settings to the last backup; exit 9 when something is not well')
    .option('--json', 'as JSON, one check a line')
    .option('--data <folder>', 'data folder (COLLOQUY_DATA)')
    .action(async (options: ReachOptions & Printing) => {
      const checks = await (await import('../doctor.ts')).examine(options);
      if (options.json === true) printRows(checks, [], options);
      else
        for (const { name, status, detail, next } of checks) {
          process.stdout.write(`${SIGNS[status].padEnd(5)} ${name.padEnd(14)} ${detail}\n`);
          if (next !== null) process.stdout.write(`${' '.repeat(21)}→ ${next}\n`);
        }
      const failed = checks.filter(({ status }) => status === 'fail').length;
      if (failed > 0) throw new CliExit(9, `${failed} of ${checks.length} checks failed`);
    });
}
