/**
 * A database cluster as initdb makes it, kept beside the code: unpacking it takes 1.4 s of processor time, initdb 4.7 s, and
 * the first start of the service has 5 s. Without the file the first start is only slower. `scripts/makeEmbeddedSeed.ts` makes it again.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, brotliDecompress, constants } from 'node:zlib';
import { PGlite } from '@electric-sql/pglite';
import { NodeFS } from '@electric-sql/pglite/nodefs';

/** The engine that made the seed; another one's catalogs may differ, so the name holds it. */
export const SEED_ENGINE = '0.5.14';

const SEED_FILE = new URL(`./embeddedPostgresSeed-${SEED_ENGINE}.tar.br`, import.meta.url);
/** It is 40 MB; a file that unpacks to more is not the seed. */
const MAX_SEED_BYTES = 64 * 1024 * 1024;

/** A tar of the data directory; undefined when there is none. */
export async function readSeed(): Promise<Blob | undefined> {
  try {
    const packed = await readFile(SEED_FILE);
    return new Blob([await promisify(brotliDecompress)(packed, { maxOutputLength: MAX_SEED_BYTES })]);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Makes the file again, after the engine was replaced; takes about 15 s. Gives its size in bytes. */
export async function writeSeed(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'colloquy-'));
  try {
    const engine = await PGlite.create({ fs: new NodeFS(folder) });
    await engine.close();
    // Packed after the shutdown: the first start would otherwise be a crash recovery, which syncs a thousand files.
    const closed = await PGlite.create({ fs: new NodeFS(folder), noInitDb: true });
    const tar = await (await closed.dumpDataDir('none')).arrayBuffer();
    // The cluster holds three nearly equal databases: only a window of 16 MB sees that (1.5 MB instead of 4.5).
    const params = { [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_QUALITY]: 10 };
    const packed = await promisify(brotliCompress)(Buffer.from(tar), { params });
    await writeFile(SEED_FILE, packed);
    return packed.length;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
