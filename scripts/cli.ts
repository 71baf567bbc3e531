/** The command line: `colloquy <noun> <verb>`. Data goes to stdout, the rest to stderr. */
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { Refusal } from '../domain/refusal.ts';
import { programVersion } from '../infra/config.ts';
import type { DemoOptions } from './demo.ts';

/** Exit codes, as the help documents them. */
const EXIT: Partial<Record<Refusal['code'], number>> = {
  invalid: 2,
  'not-found': 3,
  conflict: 4,
  unauthenticated: 5,
  forbidden: 5,
};
const EXIT_HELP = '\nExit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 conflict, 5 auth';

/** Parses the arguments and runs the command; sets the exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  const program = new Command('colloquy')
    .description('An event-sourced engine for discussions between LLM agents and people')
    .version(programVersion())
    .exitOverride()
    .addHelpText('after', EXIT_HELP);
  program
    .command('start')
    .description('run the service: API, workers and read models in one process')
    .option('--no-demo', 'do not hold a demo discussion on an empty log')
    .option('--port <port>', 'port of the API (PORT)', whole(0))
    .option('--data <folder>', 'data folder (COLLOQUY_DATA)')
    .action(async (options: { demo: boolean; port?: number; data?: string }) =>
      (await import('./start.ts')).start(options),
    );
  program
    .command('demo')
    .description('hold a discussion on this terminal')
    .option('--topic <text>', 'what it is about', 'What matters most in this text, and for whom?')
    .option('--document <file>', 'a text file to talk about')
    .option('--agents <n>', 'how many agents, 2 to 5', whole(2, 5), 3)
    .option('--turns <n>', 'how many turns', whole(1, 200), 9)
    .option('--model <name>', 'a model of the Ollama server, or "offline"')
    .option('--data <folder>', 'keep the discussion in this data folder')
    .action(async (options: DemoOptions) => (await import('./demo.ts')).demo(options));
  program
    .command('config')
    .description('settings')
    .command('print')
    .description('every setting, its value and where it comes from')
    .option('--json', 'as JSON')
    .action(async (options: { json?: boolean }) => (await import('./configPrint.ts')).configPrint(options));
  // Whoever reads us may stop reading: `… | head` is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  try {
    await program.parseAsync(argv);
  } catch (error) {
    process.exitCode = report(error);
  }
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof Refusal) {
    console.error(`colloquy: ${error.message}`);
    return EXIT[error.code] ?? 1;
  }
  console.error(error);
  return 1;
}

/** A whole number of an option. */
function whole(min: number, max = 65_535): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max)
      throw new InvalidArgumentError(`a whole number from ${min} to ${max}`);
    return value;
  };
}
