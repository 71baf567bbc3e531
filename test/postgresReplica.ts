/** A PostgreSQL server and a streaming replica of it, for tests of what reads from one. */
import { execFile } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { chmod, mkdtemp } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { freePort, preparePostgres, startPrepared, type PreparedPostgres } from './postgresServer.ts';
import { environmentWith } from './services.ts';

const COPY_DEADLINE_MS = 60_000;

export interface ReplicatedPostgres {
  /** Of the database `postgres` of the server, as its superuser. */
  readonly primary: string;
  readonly replica: string;
  stop(): Promise<void>;
}

/** Starts both; null where the server programs lack `pg_basebackup`. Rejects when they do not start. */
export async function startReplicatedPostgres(): Promise<ReplicatedPostgres | null> {
  const prepared = await preparePostgres(environmentWith({}).PATH ?? '');
  if (!existsSync(basebackupOf(prepared))) {
    rmSync(prepared.home, { recursive: true, force: true });
    return null;
  }
  const primary = await startPrepared({ ...prepared, args: [...prepared.args, '-c', 'fsync=off'] });
  try {
    const replica = await startPrepared(await copyOf(prepared));
    const stop = async (): Promise<void> => {
      await replica.stop();
      await primary.stop();
    };
    return { primary: primary.url, replica: replica.url, stop };
  } catch (error) {
    await primary.stop();
    throw error;
  }
}

function basebackupOf({ program }: PreparedPostgres): string {
  return join(dirname(program), 'pg_basebackup');
}

async function copyOf(prepared: PreparedPostgres): Promise<PreparedPostgres> {
  const home = await mkdtemp(join(dirname(prepared.home), 'colloquy-replica-'));
  // The server's user makes the data folder in it.
  await chmod(home, 0o777);
  const data = join(home, 'data');
  const copy = ['-d', prepared.url, '-D', data, '-R', '-X', 'stream', '-c', 'fast', '--no-sync'];
  const { uid, gid } = prepared.spawn;
  const user = uid === undefined || gid === undefined ? {} : { uid, gid };
  await promisify(execFile)(basebackupOf(prepared), copy, { ...user, cwd: home, timeout: COPY_DEADLINE_MS });
  const port = await freePort();
  const settings = ['fsync=off', 'max_connections=200', 'listen_addresses=127.0.0.1', 'unix_socket_directories='];
  return {
    ...prepared,
    args: ['-D', data, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])],
    spawn: { ...user, cwd: data },
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    home,
  };
}
