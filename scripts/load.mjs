/**
 * Loads a TypeScript module of ours. Through tsx every start spends 1.1 s of CPU on loader hooks (measured: 1.6 s against
 * 0.6 s for the same modules in one file), so the program is bundled once per state of its sources, into `.build/`.
 * Where that folder cannot be written tsx does it.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const FOLDERS = ['api', 'commands', 'domain', 'infra', 'projections', 'scripts', 'workers'];
/** Entries of worker threads, by folder. */
const WORKERS = { embeddedPostgresWorker: 'infra', rebuildWorker: 'scripts', builtinWorker: 'infra' };

/** @returns {Promise<object>} the exports of `scripts/cli.ts`. */
export async function loadCli() {
  const folder = join(root, '.build', sourceKey());
  try {
    if (!existsSync(folder)) await bundle(folder);
  } catch (error) {
    if (!['EACCES', 'EROFS', 'EPERM'].includes(error?.code)) throw error;
    const { register } = await import('tsx/esm/api');
    register();
    return import('./cli.ts');
  }
  return import(pathToFileURL(join(folder, 'cli.js')).href);
}

/** Changes with every source file; looking at 300 files takes 3 ms. */
function sourceKey() {
  const hash = createHash('sha256')
    .update(readFileSync(join(root, 'package.json')))
    .update(process.version);
  for (const folder of FOLDERS)
    for (const name of readdirSync(join(root, folder), { recursive: true }).sort())
      if (name.endsWith('.ts')) {
        const { size, mtimeMs } = statSync(join(root, folder, name));
        hash.update(`${folder}/${name} ${size} ${mtimeMs}\n`);
      }
  return hash.digest('hex').slice(0, 16);
}

async function bundle(folder) {
  const { build } = await import('esbuild');
  mkdirSync(join(root, '.build'), { recursive: true });
  dropOld(join(root, '.build'));
  const draft = `${folder}.${process.pid}`;
  await build({
    entryPoints: {
      cli: join(root, 'scripts/cli.ts'),
      ...Object.fromEntries(Object.entries(WORKERS).map(([name, at]) => [name, join(root, at, `${name}.ts`)])),
    },
    outdir: draft,
    bundle: true,
    splitting: true,
    packages: 'external',
    platform: 'node',
    target: 'node20',
    format: 'esm',
    sourcemap: true,
    logLevel: 'error',
    plugins: [placesOf(folder)],
  });
  // Two starts at once both build; the first one's folder stays.
  try {
    renameSync(draft, folder);
  } catch {
    rmSync(draft, { recursive: true, force: true });
  }
}

/** Builds of older sources go after a day: a process that was started from one may still be running. */
function dropOld(builds) {
  for (const name of readdirSync(builds))
    if (Date.now() - statSync(join(builds, name)).mtimeMs > 86_400_000)
      rmSync(join(builds, name), { recursive: true, force: true });
}

/** Files find their neighbours where their source lies; worker threads take their bundles. */
function placesOf(folder) {
  return {
    name: 'places',
    setup(builder) {
      builder.onLoad({ filter: /\.ts$/ }, ({ path }) => ({
        contents: Object.keys(WORKERS)
          .reduce(
            (text, name) =>
              text.replaceAll(`'./${name}.mjs'`, JSON.stringify(pathToFileURL(join(folder, `${name}.js`)).href)),
            readFileSync(path, 'utf8'),
          )
          .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href)),
        loader: 'ts',
      }));
    },
  };
}
