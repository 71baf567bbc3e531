/** The command line: `colloquy <noun> <verb>`. Data goes to stdout, the rest to stderr. */
import { Command, Option } from 'commander';
import { programVersion } from '../infra/config.ts';
import { addBackup } from './cli/backup.ts';
import { addCompletion } from './cli/completion.ts';
import { addDeadLetters } from './cli/deadLetters.ts';
import { addDoctor } from './cli/doctor.ts';
import { addDiscussions } from './cli/discussions.ts';
import { addEvents } from './cli/events.ts';
import { EXIT_HELP, reportFailure } from './cli/exitCodes.ts';
import { addDiscussionExport, addImport } from './cli/exports.ts';
import { addForks } from './cli/forks.ts';
import { addProjections } from './cli/projections.ts';
import { addProjectionsReset } from './cli/projectionsReset.ts';
import { addOperations } from './cli/operations.ts';
import { addSearch } from './cli/search.ts';
import { addStatus } from './cli/status.ts';
import { addTrace } from './cli/trace.ts';
import { addTurns } from './cli/turns.ts';
import { whole } from './cli/whole.ts';
import type { DemoOptions } from './demo.ts';
import type { StartOptions } from './start.ts';
import type { TokenCommand } from './token.ts';

/** Every command, ready to be parsed. */
export function createProgram(): Command {
  const program = new Command('colloquy')
    .description('An event-sourced engine for discussions between LLM agents and people')
    .version(programVersion())
    // Else `--version` behind a command, as `projections drop` has one, would be ours.
    .enablePositionalOptions()
    .exitOverride()
    .addHelpText('after', EXIT_HELP);
  addService(program);
  addBackup(program);
  addProjections(program);
  addProjectionsReset(program);
  addDiscussionExport(addForks(addDiscussions(program)));
  addEvents(program);
  addImport(program);
  addSearch(program);
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
    .command('token')
    .description('print an access token signed with the key of this installation (COLLOQUY_DATA, JWT_SIGNING_KEY_FILE)')
    .option('--user <id>', 'who it is for', 'operator')
    .addOption(
      new Option('--role <role>', 'what it may do').choices(['administrator', 'viewer']).default('administrator'),
    )
    .option('--project <id>', 'in which project, * for all', '*')
    .option('--minutes <n>', 'how long it is good, 1 to 15', whole(1, 15), 15)
    .action(async (options: TokenCommand) => (await import('./token.ts')).printToken(options));
  program
    .command('config')
    .description('settings')
    .command('print')
    .description('every setting, its value and where it comes from')
    .option('--json', 'as JSON')
    .action(async (options: { json?: boolean }) => (await import('./configPrint.ts')).configPrint(options));
  for (const add of [addOperations, addDeadLetters, addTurns, addTrace, addStatus, addDoctor, addCompletion])
    add(program);
  return program;
}

/** Parses the arguments and runs the command; sets the exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  const program = createProgram();
  // Whoever reads us may stop reading: `… | head` is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  try {
    await program.parseAsync(argv);
  } catch (error) {
    process.exitCode = reportFailure(error);
  }
}

function addService(program: Command): void {
  const modes = [
    ['start', 'run the service: API, workers and read models in one process'],
    ['api', 'run the API alone: any number of it behind a balancer (needs DATABASE_URL and NATS_URL)'],
    [
      'worker',
      'run what WORKER_ROLES says: projector, relay, sweeper, turns, auditor, embedder (needs DATABASE_URL and NATS_URL)',
    ],
  ] as const;
  for (const [mode, about] of modes) {
    const command = program
      .command(mode)
      .description(about)
      .option(
        '--port <port>',
        mode === 'worker' ? 'port of health and metrics (PORT)' : 'port of the API (PORT)',
        whole(0, 65_535),
      )
      .option('--data <folder>', 'data folder (COLLOQUY_DATA)')
      .action(async (options: StartOptions) => (await import('./start.ts')).start(mode, options));
    if (mode === 'start') command.option('--no-demo', 'do not hold a demo discussion on an empty log');
  }
}
