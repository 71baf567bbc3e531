/** The Kubernetes files: by their schemas, by rules of ours, and as kubectl renders them. A cluster is not asked. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import { schemaProblems } from './kubernetesTypes.ts';
import { kubernetesFolder, type Manifest, readYaml, renderedBy, sourcesOf, workloadsOf } from './manifests.ts';
import { referenceRules } from './referenceRules.ts';
import { renderedRules, workloadRules } from './workloadRules.ts';

const test = suite('kubernetes');
const overlays = ['staging', 'production'] as const;
const overlay = (name: string) => join(kubernetesFolder, 'overlays', name);
const rules = [...workloadRules, ...referenceRules];

function nothing(problems: readonly string[]): void {
  assert.is(problems.length, 0, ['', ...problems].join('\n  '));
}

function spoiled(manifests: readonly Manifest[], spoil: (copy: Manifest[]) => void): Manifest[] {
  const copy = structuredClone([...manifests]);
  spoil(copy);
  return copy;
}

test('every YAML file is one, and belongs to a kustomization', () => {
  const files = readdirSync(kubernetesFolder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.yaml$/.test(name),
  );
  assert.ok(files.length >= 15, `${files.length} files`);
  for (const file of files) {
    readYaml(join(kubernetesFolder, file));
    const [folder, name] = [join(file, '..'), file.slice(file.lastIndexOf('/') + 1)];
    const list = readFileSync(join(kubernetesFolder, folder, 'kustomization.yaml'), 'utf8');
    assert.ok(name === 'kustomization.yaml' || list.includes(name), `nothing names ${file}`);
  }
});

for (const name of overlays) {
  const { manifests, problems } = sourcesOf(overlay(name));
  test(`${name}: what the kustomization names and patches is there`, () => nothing(problems));
  for (const rule of rules) test(`${name}: ${rule.name}`, () => nothing(rule.check(manifests)));
}

test('control: a missing resource and a patch of nothing are noticed', () => {
  const folder = mkdtempSync(join(tmpdir(), 'colloquy-kustomize-'));
  try {
    cpSync(kubernetesFolder, folder, { recursive: true });
    const path = join(folder, 'overlays/production/kustomization.yaml');
    const text = readFileSync(path, 'utf8');
    writeFileSync(
      path,
      text.replace('name: colloquy-to-stores', 'name: gone').replace('components/vault', 'components/x'),
    );
    const { problems } = sourcesOf(join(folder, 'overlays/production'));
    assert.match(problems.join(), /components\/x, which is not there/);
    assert.match(problems.join(), /patches NetworkPolicy gone/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('control: every rule notices what it is there for', () => {
  const { manifests } = sourcesOf(overlay('staging'));
  for (const rule of rules) assert.ok(rule.check(spoiled(manifests, rule.spoil)).length > 0, rule.name);
});

test('every workload runs a version of its own name only', () => {
  const version = (
    JSON.parse(readFileSync(join(kubernetesFolder, '../../package.json'), 'utf8')) as { version: string }
  ).version;
  const own = workloadsOf(sourcesOf(join(kubernetesFolder, 'base')).manifests);
  assert.equal(
    own.map(({ template }) => template.spec?.containers[0]?.image),
    own.map(() => `colloquy:${version}`),
  );
  assert.is(own.length, 3);
});

test(
  'the schemas of Kubernetes take every manifest, and control: they refuse a misspelt field and a wrong type',
  async () => {
    const { manifests } = sourcesOf(overlay('staging'));
    nothing(await schemaProblems(manifests));
    const wrong = spoiled(manifests, (copy) => {
      const [first, second] = workloadsOf(copy).map(({ template }) => template.spec?.containers[0]);
      Object.assign(first?.securityContext ?? {}, { readOnlyRootFilesytem: true });
      Object.assign(second ?? {}, { ports: [{ containerPort: '4400' }] });
    });
    const problems = (await schemaProblems(wrong)).join('\n');
    assert.match(problems, /readOnlyRootFilesytem/);
    assert.match(problems, /containerPort must be integer/);
  },
  { deadlineMs: 120_000 },
);

const kubectl = renderedBy('kubectl', overlay('staging')) !== null;
if (!kubectl) console.log('left out: the manifests as rendered: kubectl is not there');
console.log('left out: a deployment to a cluster: no cluster is there');
for (const name of kubectl ? overlays : [])
  test(
    `${name}: what kubectl renders passes the same rules`,
    async () => {
      const manifests = renderedBy('kubectl', overlay(name)) ?? [];
      const more = [...rules, ...renderedRules];
      nothing(more.flatMap((rule) => rule.check(manifests).map((problem) => `${rule.name}: ${problem}`)));
      nothing(await schemaProblems(manifests));
      const namespaces = new Set(
        manifests.map(({ kind, metadata }) => (kind === 'Namespace' ? metadata?.name : metadata?.namespace)),
      );
      assert.is(namespaces.size, 1, [...namespaces].join());
      for (const rule of renderedRules) assert.ok(rule.check(spoiled(manifests, rule.spoil)).length > 0, rule.name);
    },
    { deadlineMs: 120_000 },
  );

test.run();
