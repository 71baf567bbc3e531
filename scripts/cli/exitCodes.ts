/** What the command line answers with, by what happened. */
import { CommanderError } from 'commander';
import { Refusal } from '../../domain/refusal.ts';
import { RemoteProblem } from '../remote.ts';

export const EXIT_HELP =
  '\nExit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 conflict, 5 auth, 6 time-out, 7 partial, 8 integrity violation, 9 unhealthy';

/** An end of a command with a code of its own. An empty message: what there is to say was printed. */
export class CliExit extends Error {
  readonly code: number;

  constructor(code: 1 | 6 | 7 | 8 | 9, message = '') {
    super(message);
    this.name = 'CliExit';
    this.code = code;
  }
}

const BY_REFUSAL: Partial<Record<Refusal['code'], number>> = {
  invalid: 2,
  'not-found': 3,
  conflict: 4,
  'revision-mismatch': 4,
  unauthenticated: 5,
  forbidden: 5,
};

const BY_STATUS: Readonly<Record<number, number>> = {
  400: 2,
  401: 5,
  403: 5,
  404: 3,
  409: 4,
  412: 4,
  413: 2,
  422: 2,
  503: 6,
  504: 6,
};

/** Prints what went wrong on stderr. @returns the exit code. */
export function reportFailure(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof CliExit) {
    if (error.message !== '') console.error(`colloquy: ${error.message}`);
    return error.code;
  }
  if (error instanceof RemoteProblem) {
    console.error(`colloquy: ${error.detail}`);
    for (const line of error.issues) console.error(`  ${line}`);
    return BY_STATUS[error.status] ?? 1;
  }
  if (error instanceof Refusal) {
    console.error(`colloquy: ${error.message}`);
    return BY_REFUSAL[error.code] ?? 1;
  }
  if (error instanceof Error && (error.name === 'TimeoutError' || error.name === 'AbortError')) {
    console.error('colloquy: the service did not answer in time');
    return 6;
  }
  const plain = inWords(error);
  if (plain !== null) {
    console.error(`colloquy: ${plain.text}`);
    return plain.code;
  }
  console.error(error);
  return 1;
}

/** Whether nobody answered: the service is not there, or has gone. */
export function nobodyAnswers(error: unknown): boolean {
  if (error instanceof TypeError && error.message === 'fetch failed') return true;
  return CONNECTION.test(codeOf(error));
}

const CONNECTION = /^(ECONNREFUSED|ECONNRESET|EPIPE|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ETIMEDOUT)$/;
const FILES = /^(ENOENT|EACCES|EPERM|EISDIR|ENOTDIR|EEXIST|ENOSPC|EROFS)$/;

/** Failures of the network and of files that were named: no stack helps. Null for everything else. */
function inWords(error: unknown): { text: string; code: number } | null {
  if (nobodyAnswers(error)) {
    const cause = codeOf(error instanceof Error ? (error.cause ?? error) : error);
    const why = cause === '' ? '' : ` (${cause})`;
    return { text: `the service does not answer${why}: colloquy doctor says more`, code: 1 };
  }
  if (error instanceof Error && FILES.test(codeOf(error))) return { text: error.message, code: 2 };
  return null;
}

function codeOf(error: unknown): string {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : '';
  return typeof code === 'string' ? code : '';
}
