/**
 * `colloquy-verify <export>`: whether a file of events is what stood in the log, without a database, a network or a
 * service. It takes nothing of ours but the domain, so that it can be read in an hour.
 */
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { openEvidence } from '../domain/audit/evidence.ts';
import { readNote, readPublicKey, signedBy } from '../domain/audit/note.ts';
import { type ExportVerdict, verifyExport } from '../domain/audit/verifyExport.ts';
import type { ObjectStore } from '../domain/objectStore.ts';
import { Refusal } from '../domain/refusal.ts';

const USAGE = `usage: colloquy-verify <file> [--key <file or text>]… [--checkpoints <folder>] [--json]

  --key          a public key that you trust: its text, or a file that holds it
  --checkpoints  a copy of the evidence (checkpoints/, leaves/) that you have kept
  --json         the verdict as one line of JSON

Exit codes: 0 what is there is proven, 2 usage, 8 it was changed`;

interface Asked {
  readonly file: string;
  readonly keys: readonly Uint8Array[];
  readonly checkpoints: string | null;
  readonly json: boolean;
}

/** Runs the program. @returns its exit code. */
export async function main(argv: readonly string[], print: (text: string) => void = console.log): Promise<number> {
  try {
    const asked = await askedBy(argv);
    const knownRoot = asked.checkpoints === null ? {} : { knownRoot: await keptRoots(asked.checkpoints, asked.keys) };
    const lines = createInterface({ input: createReadStream(asked.file), crlfDelay: Infinity });
    const verdict = await verifyExport(lines, { keys: asked.keys, ...knownRoot });
    print(asked.json ? JSON.stringify(verdict) : textOf(verdict));
    return verdict.verdict === 'ok' ? 0 : 8;
  } catch (error) {
    const known = error instanceof Refusal || (error instanceof Error && 'code' in error);
    console.error(known ? `colloquy-verify: ${error.message}` : USAGE);
    return 2;
  }
}

async function askedBy(argv: readonly string[]): Promise<Asked> {
  const keys: Uint8Array[] = [];
  const files: string[] = [];
  let [checkpoints, json]: [string | null, boolean] = [null, false];
  const given = [...argv];
  for (let word = given.shift(); word !== undefined; word = given.shift()) {
    if (word === '--key') keys.push(await keyOf(given.shift() ?? ''));
    else if (word === '--checkpoints') checkpoints = given.shift() ?? null;
    else if (word === '--json') json = true;
    else files.push(word);
  }
  const [file] = files;
  if (file === undefined || files.length > 1 || file.startsWith('--')) throw new Error(USAGE);
  await stat(file);
  return { file, keys, checkpoints, json };
}

async function keyOf(given: string): Promise<Uint8Array> {
  const there = await stat(given).catch(() => null);
  return readPublicKey(there === null ? given : await readFile(given, 'utf8'));
}

/** The roots that a kept copy of the evidence leads to; its newest checkpoint must be signed by a trusted key, if there are any. */
async function keptRoots(folder: string, keys: readonly Uint8Array[]) {
  const evidence = openEvidence(folderOf(folder));
  const newest = (await evidence.sizes()).at(-1);
  if (newest === undefined) throw new Refusal('invalid', 'there are no checkpoints in this folder');
  const note = await evidence.note(newest);
  const { checkpoint } = readNote(note);
  const fits = checkpoint.root.equals(await evidence.subtree(0, newest));
  if (!fits || (keys.length > 0 && signedBy(note, keys) === null))
    throw new Refusal('invalid', 'the checkpoints in this folder are not whole, or not signed by a key that you trust');
  return async (size: number) => (size > newest ? null : evidence.subtree(0, size));
}

/** Reads only. */
function folderOf(folder: string): ObjectStore {
  const refuse = () => Promise.reject(new Refusal('forbidden', 'nothing is written here'));
  return {
    put: refuse,
    remove: refuse,
    get: (name) => createReadStream(join(folder, name)),
    async list(prefix) {
      const names = await readdir(join(folder, prefix));
      return Promise.all(
        names.sort().map(async (each) => {
          const { size, mtimeMs } = await stat(join(folder, prefix, each));
          return { name: `${prefix}${each}`, sizeBytes: size, writtenAt: mtimeMs };
        }),
      );
    },
  };
}

function textOf({ verdict, what, origin, events, covered, checkpoint, trusted, findings }: ExportVerdict): string {
  const scope =
    what === null
      ? 'unknown'
      : 'from' in what
        ? `positions ${what.from} to ${what.to}`
        : `discussion ${what.discussionId}`;
  const proven =
    checkpoint === null
      ? 'there was no signed checkpoint yet: nothing is proven'
      : `${covered} of ${events} events stood in the log that was signed at ${checkpoint.at} (${checkpoint.size} events, root ${checkpoint.root})`;
  const young = events - covered;
  return [
    verdict === 'ok' ? 'OK' : 'VIOLATION',
    `${scope} of ${origin ?? 'an unknown log'}`,
    ...findings.map((finding) => `✗ ${finding}`),
    ...(verdict === 'ok' ? [proven] : []),
    ...(young > 0 && checkpoint !== null ? [`${young} events are younger than that checkpoint: not yet covered`] : []),
    ...(trusted
      ? []
      : ['no --key was given: only checked against the key in the file itself, which whoever made it could choose']),
  ].join('\n');
}
