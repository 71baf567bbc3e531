/** `colloquy backup …`: make, list, verify, prune by the API; restore into an empty store, where no service can run. */
import { join } from 'node:path';
import type { Command } from 'commander';
import type { BackupShelf, Pruned, Verified } from '../../domain/backup/backups.ts';
import type { BackupSummary } from '../../domain/backup/manifest.ts';
import type { Operation } from '../../domain/operation.ts';
import { readSettings, type Settings } from '../../infra/config.ts';
import { CliExit } from './exitCodes.ts';
import { followOperation, printRows, printValue } from './print.ts';
import { whole } from './whole.ts';
import { findRunning, withService } from './reach.ts';

interface Common {
  readonly data?: string;
  readonly json?: boolean;
}

/** Adds the commands. */
export function addBackup(program: Command): void {
  const backup = program.command('backup').description('backups of the log: make, list, verify, restore, prune');
  const add = (name: string, about: string) =>
    backup
      .command(name)
      .description(about)
      .option('--data <folder>', 'data folder (COLLOQUY_DATA)')
      .option('--json', 'as JSON');
  add('create', 'make a backup at BACKUP_STORE while everything goes on').action(create);
  add('list', 'all backups at BACKUP_STORE, also without a service or a database').action(list);
  add('verify <id>', 'open a backup and hold all of it against its manifest and signed checkpoints').action(verify);
  add('prune', 'remove old backups; the newest whole one always stays')
    .option('--keep <n>', 'keep the newest so many (BACKUP_KEEP)', whole(1, 10_000))
    .option('--keep-days <n>', 'keep those younger than so many days (BACKUP_KEEP_DAYS)', whole(1, 36_500))
    .option('--dry-run', 'only say what would be removed')
    .action(prune);
  add('restore <id>', 'bring a backup back into an empty store: the settings say which, else the data folder')
    .option('--into <folder>', 'into the embedded database of a new data folder, whatever the settings say')
    .option('--dry-run', 'only say what would be done')
    .option('--restart', 'empty what an interrupted restore wrote, and begin anew')
    .action(restore);
}

async function create(options: Common): Promise<void> {
  await withService(options, async ({ remote, running }) => {
    const started = await remote.call<Operation>('POST', '/backups');
    printValue(await followOperation(remote, started, { unit: 'events', running }), options);
  });
}

async function list(options: Common): Promise<void> {
  const settings = settingsOf(options);
  const found = await findRunning(settings);
  const backups =
    found === null
      ? await (await shelf(settings)).list()
      : (await found.remote.call<{ data: BackupSummary[] }>('GET', '/backups')).data;
  printRows(backups, ['id', 'madeAt', 'events', 'head', 'sizeBytes', 'whole', 'program'], options);
}

async function verify(id: string, options: Common): Promise<void> {
  const settings = settingsOf(options);
  const found = await findRunning(settings);
  const verified = (
    found === null
      ? await verifyHere(id, settings)
      : await followOperation(found.remote, await begin(), { unit: 'events' })
  ) as Verified;
  printValue(verified, options);
  if (!verified.ok) throw new CliExit(8, `backup ${id} is damaged: ${verified.findings[0] ?? ''}`);

  async function begin(): Promise<Operation> {
    return (await found?.remote.call<Operation>('POST', `/backups/${encodeURIComponent(id)}/verify`)) as Operation;
  }
}

async function verifyHere(id: string, settings: Settings): Promise<Verified> {
  const told = tellProgress('verify');
  return (await shelf(settings)).verify(id, told, interrupted());
}

async function prune(options: Common & { keep?: number; keepDays?: number; dryRun?: boolean }): Promise<void> {
  const settings = settingsOf(options);
  const { keep, keepDays, dryRun = false } = options;
  const found = await findRunning(settings);
  const rules = { ...(keep === undefined ? {} : { keep }), ...(keepDays === undefined ? {} : { keepDays }) };
  const pruned: Pruned =
    found === null
      ? await (await shelf(settings)).prune({ count: keep, days: keepDays, dryRun })
      : await found.remote.call<Pruned>('POST', '/backups/prune', { body: { ...rules, dryRun } });
  printValue(pruned, options);
}

interface RestoreCommand extends Common {
  readonly into?: string;
  readonly dryRun?: boolean;
  readonly restart?: boolean;
}

async function restore(id: string, options: RestoreCommand): Promise<void> {
  const [{ openRestoreTarget }, { restoreBackup }, { backupObjects }, { neededKeys, readManifest }] = await Promise.all(
    [import('../backupTarget.ts'), import('../backupRestore.ts'), import('../backups.ts'), import('../backupShelf.ts')],
  );
  const [{ createLogger }, { readBackupKeys }] = await Promise.all([
    import('../../infra/logging.ts'),
    import('../../infra/ageKey.ts'),
  ]);
  const settings = settingsOf(options);
  const { COLLOQUY_DATA: dataDir, BACKUP_KEY_FILE: keyFile } = settings;
  const objects = await backupObjects(settings);
  const manifest = await readManifest(objects, id);
  const keys = await neededKeys({ keys: () => readBackupKeys({ dataDir, keyFile }) });
  const log = createLogger(settings.LOG_LEVEL);
  const target = await openRestoreTarget(intoOf(settings, options.into), log);
  try {
    const restored = await restoreBackup({
      target,
      source: { objects, id, keys },
      manifest,
      restart: options.restart ?? false,
      dryRun: options.dryRun ?? false,
      report: tellProgress('restore'),
      signal: interrupted(),
      log,
    });
    printValue(restored, options);
  } finally {
    await target.close();
  }
}

function intoOf(settings: Settings, folder: string | undefined): Settings {
  if (folder === undefined) return settings;
  const { DATABASE_URL: _database, EVENTSTORE_URL: _eventStore, DATABASE_READ_URL: _replica, ...rest } = settings;
  return { ...rest, COLLOQUY_DATA: join(process.cwd(), folder) };
}

function settingsOf({ data }: Common): Settings {
  return readSettings(data === undefined ? {} : { COLLOQUY_DATA: data });
}

async function shelf(settings: Settings): Promise<BackupShelf> {
  return (await import('../backups.ts')).openBackupShelf(settings);
}

const LINE_MS = 10_000;

function tellProgress(what: string): (done: number, total: number, note: string) => void {
  let toldAt = performance.now();
  return (done, total, note) => {
    if (performance.now() - toldAt < (process.stderr.isTTY ? 500 : LINE_MS)) return;
    toldAt = performance.now();
    console.error(`${what}: ${done.toLocaleString('en')} of ${total.toLocaleString('en')} events (${note})`);
  };
}

/** Ctrl-C ends the work in good order. */
function interrupted(): AbortSignal {
  const abort = new AbortController();
  process.once('SIGINT', () => abort.abort(new CliExit(7, 'interrupted')));
  return abort.signal;
}
