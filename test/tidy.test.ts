/** What ARCHITECTURE.md says about the source and a program can check; each rule is proved on sources it must catch. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as assert from 'uvu/assert';
import { suite } from './harness.ts';
import { missingContracts } from './tidy/contracts.ts';
import { importRules } from './tidy/imports.ts';
import { purityRules } from './tidy/purity.ts';
import { type Rule, type Source, sourceOf } from './tidy/rule.ts';
import { shapeRules } from './tidy/shape.ts';
import { writingRules } from './tidy/writing.ts';

const test = suite('tidy');
const root = dirname(import.meta.dirname);
const rules: readonly Rule[] = [...importRules, ...shapeRules, ...purityRules, ...writingRules];

/** What git tracks or would add: a new file is checked before it is committed. */
function readSources(): Source[] {
  const list = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const paths = execFileSync('git', list, { cwd: root, encoding: 'utf8' }).split('\0').filter(Boolean);
  return [...new Set(paths)]
    .filter((path) => existsSync(join(root, path)))
    .map((path) => sourceOf(path, readFileSync(join(root, path), 'utf8')));
}

const sources = readSources();

function nothing(findings: readonly string[]): void {
  if (findings.length > 0) throw new Error([`${findings.length} found`, ...findings].join('\n      '));
}

for (const rule of rules) {
  test(rule.name, () => {
    const findings = sources.flatMap((source) =>
      rule.check(source).map(({ line, says }) => `${source.path}:${line} ${says}`),
    );
    nothing(findings);
  });

  test(`control: ${rule.name}`, () => {
    assert.ok(rule.caught.length > 0);
    for (const { path, text } of rule.caught)
      assert.ok(rule.check(sourceOf(path, text)).length > 0, `must be caught in ${path}: ${text.slice(0, 100)}`);
    for (const { path, text } of rule.fine)
      assert.equal(rule.check(sourceOf(path, text)), [], `must pass in ${path}: ${text.slice(0, 100)}`);
  });
}

test('the tree was read', () => {
  assert.ok(sources.some(({ path }) => path === 'domain/ports.ts'));
  assert.ok(sources.some(({ path }) => path === 'test/tidy.test.ts'));
});

test('every port has a contract suite and every adapter passes it', () => {
  nothing(missingContracts(sources));
});

test('control: ports, contracts and adapters', () => {
  const ports = sourceOf(
    'domain/ports.ts',
    'export interface Seal { open(): void }\nexport interface Shape { a: string }',
  );
  const contract = sourceOf('test/contracts/seal.ts', '');
  const adapters = [
    'export class S implements Seal {}',
    'export function s(): Promise<Seal> {}',
    'export const s: Seal = {};',
  ];
  const both = `import { s } from '../../infra/plainSeal.ts'; import { sealContract } from '../contracts/seal.ts';`;
  const table = { Seal: 'seal.ts' };
  assert.match(missingContracts([ports, contract], {}).join(), /Seal has no contract in the table/);
  assert.match(missingContracts([ports], table).join(), /Seal has no suite/);
  assert.match(missingContracts([ports, contract], { ...table, Old: 'old.ts' }).join(), /Old is in the table/);
  for (const text of adapters) {
    const adapter = sourceOf('infra/plainSeal.ts', text);
    assert.match(missingContracts([ports, contract, adapter], table).join(), /plainSeal\.ts offers Seal/, text);
    const adapterTest = sourceOf('test/infra/plainSeal.test.ts', both);
    assert.equal(missingContracts([ports, contract, adapter, adapterTest], table), []);
  }
});

test.run();
