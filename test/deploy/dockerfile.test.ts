/** The Dockerfile by rules; what its build stage does is done here with the sources as they are. */
import { execFile } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';

const test = suite('dockerfile');
const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');
const text = readFileSync(join(root, 'deploy/Dockerfile'), 'utf8');
const ignored = readFileSync(join(root, 'deploy/Dockerfile.dockerignore'), 'utf8');

interface Instruction {
  readonly name: string;
  readonly rest: string;
}

function instructionsOf(dockerfile: string): Instruction[] {
  return dockerfile
    .replace(/^\s*#.*\n/gm, '')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => ({ name: line.replace(/ .*/, ''), rest: line.replace(/^\S+ */, '') }));
}

/** What is wrong, each a sentence. */
function problemsOf(dockerfile: string): string[] {
  const instructions = instructionsOf(dockerfile);
  const all = (name: string) => instructions.filter((one) => one.name === name).map(({ rest }) => rest);
  const bases = all('FROM').map((rest) => rest.replace(/ AS .*/, ''));
  const user = all('USER').at(-1) ?? 'root';
  const copies = all('COPY').filter((rest) => !rest.startsWith('--from='));
  const problems = [
    ...bases.filter((base) => !/:\d+\.\d+\.\d+[\w.-]*$/.test(base)).map((base) => `${base} is not pinned`),
    ...(new Set(bases).size > 1 ? ['the bundle depends on the version of Node: one base for all stages'] : []),
    ...(/^[1-9]\d*(:[1-9]\d*)?$/.test(user) ? [] : [`runs as ${user}`]),
    ...(all('HEALTHCHECK').length === 1 ? [] : ['no HEALTHCHECK']),
    ...(/^\[/.test(all('ENTRYPOINT')[0] ?? '') ? [] : ['a shell between the process and its signals']),
    ...copies.filter((rest) => /^\.\/? /.test(rest)).map((rest) => `COPY ${rest} takes whatever lies about`),
    ...all('ADD').map((rest) => `ADD ${rest}`),
    ...all('RUN').filter((rest) => /npm (ci|i|install)/.test(rest) && !/--ignore-scripts/.test(rest)),
    ...all('RUN').filter((rest) => /npm (ci|i|install)/.test(rest) && !/--omit=dev/.test(rest)),
    ...all('RUN').filter((rest) => /curl|wget|apt-get/.test(rest)),
  ];
  const spoken = [...all('ENV'), ...all('ARG')].join(' ');
  if (/(KEY|PASSWORD|TOKEN|SECRET|_URL)\w*=/.test(spoken)) problems.push('a secret in the image');
  return problems;
}

test('no root, no secrets, pinned bases, no scripts of packages', () => {
  assert.equal(problemsOf(text), []);
});

test('control: each of that is noticed', () => {
  const spoils: [RegExp, string][] = [
    [/not pinned/, text.replaceAll(/node:[\d.]+-/g, 'node:20-')],
    [/one base/, text.replace(/node:[\d.]+-/, 'node:22.1.0-')],
    [/runs as root/, text.replace(/^USER .*$/m, '')],
    [/runs as node/, text.replace(/^USER .*$/m, 'USER node')],
    [/no HEALTHCHECK/, text.replace('HEALTHCHECK', '# HEALTHCHECK').replace(/^ +CMD \["node".*$/m, '')],
    [/takes whatever/, text.replace('COPY api api', 'COPY . .')],
    [/npm ci/, text.replace('--ignore-scripts', '')],
    [/npm ci/, text.replace('--omit=dev', '')],
    [/a secret/, text.replace('ENV ', 'ENV OPENAI_API_KEY=x ')],
    [/a shell/, text.replace(/^ENTRYPOINT .*$/m, 'ENTRYPOINT node scripts/colloquy.mjs')],
  ];
  for (const [says, spoiled] of spoils) {
    assert.is.not(spoiled, text);
    assert.match(problemsOf(spoiled).join('\n'), says);
  }
});

function copied(): string[] {
  return instructionsOf(text)
    .filter(({ name, rest }) => name === 'COPY' && !rest.startsWith('--from='))
    .flatMap(({ rest }) => rest.split(' ').slice(0, -1));
}

test('what is copied is there and let through, and every folder that the program is made of is copied', () => {
  const lines = ignored.split('\n');
  assert.ok(lines.includes('*'));
  for (const name of copied()) {
    assert.ok(existsSync(join(root, name)), `${name} is not there`);
    assert.ok(lines.includes(`!${name}`), `${name} is left out by Dockerfile.dockerignore`);
  }
  const loaded = readFileSync(join(root, 'scripts/load.mjs'), 'utf8');
  const folders = [...(/FOLDERS = \[(.*)\]/.exec(loaded)?.[1]?.matchAll(/'(\w+)'/g) ?? [])].map(
    ([, name]) => name ?? '',
  );
  assert.ok(folders.length >= 7);
  for (const folder of folders) {
    assert.ok(copied().includes(folder), `${folder} is not copied`);
    assert.match(text, new RegExp(`RUN find [^&]*\\b${folder}\\b[^&]* -exec touch -d @0`));
  }
});

function toWholeSeconds(path: string): void {
  const seconds = Math.floor(statSync(path).mtimeMs / 1000);
  utimesSync(path, seconds, seconds);
}

test(
  'the bundle of the build stage is the one the container looks for, with times in whole seconds',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'colloquy-image-'));
    try {
      for (const name of copied()) cpSync(join(root, name), join(folder, name), { recursive: true });
      rmSync(join(folder, 'scripts/bench'), { recursive: true, force: true });
      symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
      const [step = ''] = instructionsOf(text).flatMap(({ name, rest }) =>
        name === 'RUN' && /^find /.test(rest) ? [rest] : [],
      );
      const { stdout } = await run('sh', ['-c', step], { cwd: folder });
      assert.match(stdout, /^\d+\.\d+\.\d+$/m);
      const bundles = readdirSync(join(folder, '.build'));
      assert.is(bundles.length, 1);
      // What an image keeps of them.
      for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }))
        if (name.endsWith('.ts') && !name.startsWith('node_modules')) toWholeSeconds(join(folder, name));
      await run(process.execPath, ['scripts/colloquy.mjs', '--version'], { cwd: folder });
      assert.equal(readdirSync(join(folder, '.build')), bundles);
      assert.ok(existsSync(join(folder, '.build', bundles[0] ?? '', 'cli.js')));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  { deadlineMs: 60_000 },
);

console.log('left out: docker build: its base image cannot be fetched in the tests');
test.run();
