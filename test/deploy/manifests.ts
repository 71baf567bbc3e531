/** The Kubernetes files of deploy/, read as they lie there and as kubectl renders them. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type IDeployment, type IStatefulSet } from 'kubernetes-models/apps/v1';
import type { IHorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2';
import type { IIngress, INetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import type { IPodDisruptionBudget } from 'kubernetes-models/policy/v1';
import type {
  IConfigMap,
  INamespace,
  IPodTemplateSpec,
  ISecret,
  IService,
  IServiceAccount,
} from 'kubernetes-models/v1';
import { parseAllDocuments } from 'yaml';

export type Manifest =
  | IConfigMap
  | IDeployment
  | IHorizontalPodAutoscaler
  | IIngress
  | INamespace
  | INetworkPolicy
  | IPodDisruptionBudget
  | ISecret
  | IService
  | IServiceAccount
  | IStatefulSet;

type OfKind<K extends Manifest['kind']> = Extract<Manifest, { kind: K }>;

export interface Workload {
  readonly name: string;
  readonly kind: 'Deployment' | 'StatefulSet';
  readonly template: IPodTemplateSpec;
  readonly labels: Readonly<Record<string, string>>;
}

/** A kustomization.yaml, as far as ours use it. */
interface Kustomization {
  readonly resources?: readonly string[];
  readonly components?: readonly string[];
  readonly patches?: readonly { readonly path: string; readonly target: { kind: string; name?: string } }[];
  readonly configMapGenerator?: readonly { readonly name: string; readonly envs: readonly string[] }[];
}

const root = join(import.meta.dirname, '../..');
export const kubernetesFolder = join(root, 'deploy/kubernetes');

/** Every document of a YAML file. @throws Error that names the file and the line. */
export function readYaml(path: string): unknown[] {
  return parseAllDocuments(readFileSync(path, 'utf8'), { merge: true }).map((document) => {
    const [problem] = [...document.errors, ...document.warnings];
    if (problem) throw new Error(`${path}: ${problem.message}`);
    return document.toJS() as unknown;
  });
}

/** What a kustomization is made of before patches, with what its files lack: each a sentence. */
export function sourcesOf(folder: string): { manifests: Manifest[]; problems: string[] } {
  const path = join(folder, 'kustomization.yaml');
  if (!existsSync(path)) return { manifests: [], problems: [`${path} is not there`] };
  const [kustomization = {}] = readYaml(path) as Kustomization[];
  const manifests: Manifest[] = [];
  const problems: string[] = [];
  for (const name of [...(kustomization.resources ?? []), ...(kustomization.components ?? [])]) {
    const file = join(folder, name);
    if (!existsSync(file)) problems.push(`${path} names ${name}, which is not there`);
    else if (/\.yaml$/.test(name)) manifests.push(...(readYaml(file) as Manifest[]));
    else {
      const inner = sourcesOf(file);
      manifests.push(...inner.manifests);
      problems.push(...inner.problems);
    }
  }
  for (const { name, envs } of kustomization.configMapGenerator ?? [])
    manifests.push({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: readEnvs(folder, envs) });
  const component = basename(join(folder, '..')) === 'components';
  for (const { path: patch, target } of kustomization.patches ?? []) {
    if (!existsSync(join(folder, patch))) problems.push(`${path} names the patch ${patch}, which is not there`);
    const hit = manifests.some(
      ({ kind, metadata }) => kind === target.kind && (target.name === undefined || metadata?.name === target.name),
    );
    // A component patches what the kustomization that takes it has brought.
    if (!hit && !component) problems.push(`${path} patches ${target.kind} ${target.name ?? ''}, which is not there`);
  }
  return { manifests, problems };
}

function readEnvs(folder: string, files: readonly string[]): Record<string, string> {
  const lines = files.flatMap((file) => readFileSync(join(folder, file), 'utf8').split('\n'));
  return Object.fromEntries(
    lines.filter((line) => /^[^#\s]/.test(line)).map((line) => [line.replace(/=.*/, ''), line.replace(/^[^=]*=/, '')]),
  );
}

/** What kubectl makes of a kustomization; null where there is no kubectl. @throws Error with what it says. */
export function renderedBy(kubectl: string, folder: string): Manifest[] | null {
  try {
    const text = execFileSync(kubectl, ['kustomize', folder], { encoding: 'utf8', timeout: 60_000, stdio: 'pipe' });
    return parseAllDocuments(text).map((document) => document.toJS() as Manifest);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

/** The manifests of a kind. */
export function ofKind<K extends Manifest['kind']>(manifests: readonly Manifest[], kind: K): OfKind<K>[] {
  return manifests.filter((manifest): manifest is OfKind<K> => manifest.kind === kind);
}

/** Everything that runs pods. */
export function workloadsOf(manifests: readonly Manifest[]): Workload[] {
  return [...ofKind(manifests, 'Deployment'), ...ofKind(manifests, 'StatefulSet')].flatMap(
    ({ kind, metadata, spec }) =>
      spec === undefined
        ? []
        : [{ kind, name: metadata?.name ?? '', template: spec.template, labels: spec.template.metadata?.labels ?? {} }],
  );
}
