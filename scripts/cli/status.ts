import type { Command } from 'commander';
import { readSettings } from '../../infra/config.ts';
import type { Health, Status } from '../doctorService.ts';
import { CliExit, nobodyAnswers } from './exitCodes.ts';
import { printRows, printValue, type Printing } from './print.ts';
import { findRunning, type ReachOptions } from './reach.ts';

/** `colloquy status`: the running service at one look. */
export function addStatus(program: Command): void {
  program
    .command('status')
    .description('the running service at one look; exit 9 when it is not ready')
    .option('--json', 'as JSON')
    .option('--data <folder>', 'data folder (COLLOQUY_DATA)')
    .action(async (options: ReachOptions & Printing) => {
      const settings = readSettings(options.data === undefined ? {} : { COLLOQUY_DATA: options.data });
      const found = await findRunning(settings);
      if (found === null) throw new CliExit(9, 'no service runs: colloquy doctor says more');
      const { healthAt } = await import('../doctorService.ts');
      const health = await healthAt(found.url).catch((error: unknown) => {
        throw nobodyAnswers(error)
          ? new CliExit(9, `nothing answers at ${found.url}: colloquy doctor says more`)
          : error;
      });
      const status = await found.remote.call<Status>('GET', '/status');
      if (options.json === true) printValue({ url: found.url, ...health, ...status }, options);
      else show(found.url, health, status);
      if (!health.ready) throw new CliExit(9, 'the service is not ready');
    });
}

function show(url: string, { ready, checks }: Health, status: Status): void {
  const { version, uptimeSeconds, log, turns, deadLetters, clients } = status;
  const health = Object.entries(checks).map(([name, { ok, detail }]) =>
    ok ? name : `${name}: ${detail ?? 'not ready'}`,
  );
  printValue(
    {
      service: `${url} (version ${version}, up ${duration(uptimeSeconds)})`,
      ready: `${ready ? 'yes' : 'no'} (${health.join(', ')})`,
      log: `head ${log.head}, lineage ${log.lineage}`,
      turns: `${turns.open} open, ${turns.running} running here, ${turns.stuck} stuck`,
      'dead letters': deadLetters,
      streams: `${clients} open`,
    },
    {},
  );
  process.stdout.write('\n');
  const behind = status.projections.map(({ name, events, seconds }) => ({ 'read model': name, events, seconds }));
  printRows(behind, ['read model', 'events', 'seconds'], {});
  if (status.operations.length === 0) return;
  process.stdout.write('\n');
  printRows(status.operations, ['id', 'kind', 'startedAt'], {});
}

function duration(seconds: number): string {
  const [days, hours, minutes] = [
    Math.floor(seconds / 86_400),
    Math.floor(seconds / 3600) % 24,
    Math.floor(seconds / 60) % 60,
  ];
  if (days > 0) return `${days} d ${hours} h`;
  return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min ${seconds % 60} s`;
}
