/** `colloquy projections …`: the read models, how far they are, and what to do about them. */
import type { Command } from 'commander';
import type { ProjectionView, RebuildPlan } from '../../api/projectionViews.ts';
import type { Operation } from '../../domain/operation.ts';
import { Refusal } from '../../domain/refusal.ts';
import type { Diff } from '../../projections/diff.ts';
import { CliExit } from './exitCodes.ts';
import { followOperation, printRows, printValue } from './print.ts';
import type { Remote } from '../remote.ts';
import { withService } from './reach.ts';
import { whole } from './whole.ts';

interface Common {
  readonly data?: string;
  readonly json?: boolean;
}

interface RebuildOptions extends Common {
  readonly allStale?: boolean;
  readonly maxConcurrent: number;
  readonly fast?: boolean;
  readonly dryRun?: boolean;
}

/** Adds the commands. */
export function addProjections(program: Command): void {
  const projections = program.command('projections').description('read models: look, rebuild, compare, pause');
  const add = (name: string, about: string) =>
    projections
      .command(name)
      .description(about)
      .option('--data <folder>', 'data folder (COLLOQUY_DATA)')
      .option('--json', 'as JSON');
  add('list', 'all read models: how far they are, which are stale and why').action(list);
  add('get <name>', 'one read model with all of its versions').action(get);
  add('rebuild [names...]', 'build read models anew from the log, beside the live ones, and swap them in')
    .option('--all-stale', 'those that `list` calls stale')
    .option('--max-concurrent <n>', 'so many at the same time, 1 to 16', whole(1, 16), 2)
    .option(
      '--fast',
      'as fast as it goes; otherwise it works for a 25th of the time, so that the service hardly feels it',
    )
    .option('--dry-run', 'only say what would be done')
    .action(rebuild);
  add('diff <name>', 'compare the live tables with the log, row by row; exit code 8 when they differ')
    .option('--repair', 'embeddings only: what is missing or not found is embedded and stored again')
    .action(diff);
  const change = (name: string, about: string) => add(name, about).option('--dry-run', 'only show the read model');
  change('pause <name>', 'apply no more events to a read model; the others go on').action(pause('pause'));
  change('resume <name>', 'apply events to a read model again').action(pause('resume'));
  change('rollback <name>', 'make the previous version the live one again').action(rollback);
  change('drop <name>', 'drop a version that is not the one that is read')
    .requiredOption('--version <n>', 'which one, see `get`', whole(1, 999_999_999))
    .action(drop);
}

async function list(options: Common): Promise<void> {
  await withService(options, async ({ remote }) => {
    const { data } = await remote.call<{ data: ProjectionView[] }>('GET', '/projections');
    if (options.json === true) return printRows(data, [], options);
    const rows = data.map(({ building, previous, oldVersions, failed, ...view }) => ({
      ...view,
      building: building === null ? null : `v${building.version} at ${building.position}`,
      others: [
        ...(previous === null ? [] : [`v${previous.version} previous`]),
        ...(failed === null ? [] : [`v${failed.version} failed`]),
        ...oldVersions.map(({ version, schemaVersion }) => `v${version} of schema ${schemaVersion}`),
      ].join(', '),
    }));
    const columns = [
      'name',
      'version',
      'status',
      'position',
      'behind',
      'lagSeconds',
      'building',
      'others',
      'stale',
    ] as const;
    printRows(rows, columns, options);
  });
}

async function get(name: string, options: Common): Promise<void> {
  await withService(options, async ({ remote }) =>
    printValue(await remote.call<ProjectionView>('GET', `/projections/${encodeURIComponent(name)}`), options),
  );
}

async function rebuild(names: readonly string[], options: RebuildOptions): Promise<void> {
  const { allStale = false, fast = false, dryRun = false, maxConcurrent } = options;
  if (names.length > 0 === allStale) throw new Refusal('invalid', 'name read models, or give --all-stale');
  const body = { ...(allStale ? { allStale } : { names }), fast, dryRun, maxConcurrent };
  await withService(options, async ({ remote, running }) => {
    const answer = await remote.call<Operation | { plan: RebuildPlan[] }>('POST', '/projections/rebuild', { body });
    if ('plan' in answer) {
      if (answer.plan.length === 0) console.error('nothing is stale');
      return printRows(answer.plan, ['name', 'events', 'estimatedSeconds', 'resumes', 'stale'], options);
    }
    const result = await followOperation(remote, answer, { unit: unitOf(names), running });
    const { projections } = result as { projections: Record<string, object> };
    const rows = Object.entries(projections).map(([name, each]) => ({ name, ...each }));
    printRows(rows, ['name', 'version', 'previous', 'position', 'events'] as (keyof (typeof rows)[number])[], options);
  });
}

async function diff(name: string, options: Common & { repair?: boolean }): Promise<void> {
  await withService(options, async ({ remote, running }) => {
    const started = await remote.call<Operation>(
      'POST',
      `/projections/${encodeURIComponent(name)}/diff${options.repair === true ? '?repair=true' : ''}`,
    );
    const unit = unitOf([name]);
    const found = (await followOperation(remote, started, { unit, running })) as Diff;
    if (options.json === true) printValue(found, options);
    else printRows(found.tables, ['table', 'rows', 'differing'], options);
    if (found.equal) return;
    if (options.json !== true)
      for (const { table, samples } of found.tables)
        for (const { key, kind, columns } of samples) console.log(`${table} ${key}: ${[kind, ...columns].join(' ')}`);
    if (found.repaired !== undefined && found.repaired === differing(found))
      return console.error(`${found.repaired} of them are mended`);
    throw new CliExit(8, `${name} is not what the log says: rebuild it`);
  });
}

function differing({ tables }: Diff): number {
  return tables.reduce((sum, each) => sum + each.differing, 0);
}

/** Vectors are counted in what is embedded. */
function unitOf(names: readonly string[]): string {
  return names.length === 1 && names[0] === 'embeddings' ? 'chunks' : 'events';
}

type ChangeOptions = Common & { readonly dryRun?: boolean };

function pause(verb: 'pause' | 'resume') {
  return async (name: string, options: ChangeOptions): Promise<void> => {
    await withService(options, async ({ remote }) => {
      if (options.dryRun === true) return printValue(await viewOf(remote, name), options);
      printValue(
        await remote.call<ProjectionView>('POST', `/projections/${encodeURIComponent(name)}/${verb}`),
        options,
      );
    });
  };
}

function viewOf(remote: Remote, name: string): Promise<ProjectionView> {
  return remote.call<ProjectionView>('GET', `/projections/${encodeURIComponent(name)}`);
}

async function rollback(name: string, options: ChangeOptions): Promise<void> {
  await withService(options, async ({ remote, running }) => {
    if (options.dryRun === true) return printValue(await viewOf(remote, name), options);
    const started = await remote.call<Operation>('POST', `/projections/${encodeURIComponent(name)}/rollback`);
    printValue(await followOperation(remote, started, { unit: unitOf([name]), running }), options);
  });
}

async function drop(name: string, options: ChangeOptions & { version: number }): Promise<void> {
  await withService(options, async ({ remote }) => {
    const path = `/projections/${encodeURIComponent(name)}/versions/${options.version}`;
    const view = options.dryRun === true ? viewOf(remote, name) : remote.call<ProjectionView>('DELETE', path);
    printValue(await view, options);
  });
}
