import { execFile } from 'node:child_process';
import { join } from 'node:path';
import type { TestService } from '../api/serviceForTests.ts';
import { environmentWith } from '../services.ts';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `colloquy` as a user does, on a service that is running. @returns its exit code and what it printed. */
export function colloquyOn(on: TestService, args: readonly string[]): Promise<Ran> {
  const env = environmentWith({ COLLOQUY_URL: on.url, COLLOQUY_TOKEN: on.service.token });
  const cwd = join(import.meta.dirname, '..', '..');
  return new Promise((resolve) => {
    execFile(process.execPath, ['scripts/colloquy.mjs', ...args], { cwd, env, timeout: 60_000 }, (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), out, err }),
    );
  });
}
