/** The Terraform module: how it is written, by terraform where it is there, and by what it says of the Kubernetes files. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';

const test = suite('terraform');
const root = join(import.meta.dirname, '../..');
const folder = join(root, 'deploy/terraform');
const files = readdirSync(folder).filter((name) => name.endsWith('.tf'));
const text = files.map((name) => readFileSync(join(folder, name), 'utf8')).join('\n');

function declared(source: string): { variables: string[]; undescribed: string[] } {
  const blocks = [...source.matchAll(/^(?:variable|output) "(\w+)" \{\n([\s\S]*?)^\}/gm)];
  return {
    variables: [...source.matchAll(/^variable "(\w+)"/gm)].map(([, name]) => name ?? ''),
    undescribed: blocks
      .filter(([, , body]) => !/^ {2}description += "/m.test(body ?? ''))
      .map(([, name]) => name ?? ''),
  };
}

test('every variable is used, declared and described, and providers have a range of versions', () => {
  const { variables, undescribed } = declared(text);
  const used = new Set([...text.matchAll(/\bvar\.(\w+)/g)].map(([, name]) => name ?? ''));
  assert.equal([...used].sort(), [...variables].sort());
  assert.equal(undescribed, []);
  assert.equal(declared('variable "a" {\n  type = string\n}').undescribed, ['a']);
  assert.match(text, /source += "kbst\/kustomization"\n +version = ">= [\d.]+, < [\d.]+"/);
});

test('the names it replaces are those of the overlays', () => {
  const image = /images \{\n +name += "([^"]+)"/.exec(text)?.[1];
  const map = /config_map_generator \{\n +name += "([^"]+)"/.exec(text)?.[1];
  for (const overlay of readdirSync(join(root, 'deploy/kubernetes/overlays'))) {
    const kustomization = readFileSync(join(root, 'deploy/kubernetes/overlays', overlay, 'kustomization.yaml'), 'utf8');
    assert.ok(kustomization.includes(`newName: ${image}\n`), `${overlay} does not name ${image}`);
  }
  const base = readFileSync(join(root, 'deploy/kubernetes/base/kustomization.yaml'), 'utf8');
  assert.ok(base.includes(`- name: ${map}\n`), `the base has no ${map}`);
});

const formatted = spawnSync('terraform', ['fmt', '-check', '-recursive', '-diff', folder], {
  encoding: 'utf8',
  timeout: 60_000,
});
if (formatted.error) console.log('left out: terraform fmt: terraform is not there');
else
  test('terraform reads every file and would format none', () => {
    assert.is(formatted.status, 0, formatted.stdout + formatted.stderr);
  });
console.log('left out: terraform validate and plan: the provider cannot be fetched in the tests');

test.run();
