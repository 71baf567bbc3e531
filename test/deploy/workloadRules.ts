/** What every pod of deploy/kubernetes must have; each rule with a change that it must notice. */
import { type Manifest, ofKind, type Workload, workloadsOf } from './manifests.ts';
import { settingProblem } from './settingsNamed.ts';

export interface ManifestRule {
  readonly name: string;
  /** What is wrong, each a sentence. */
  readonly check: (manifests: readonly Manifest[]) => string[];
  /** Spoils a copy of sound manifests, so that the rule must find something. */
  readonly spoil: (manifests: Manifest[]) => void;
}

type Container = NonNullable<Workload['template']['spec']>['containers'][number];

const DRAIN_SECONDS = 25;

function eachContainer(
  manifests: readonly Manifest[],
  check: (container: Container, workload: Workload) => (string | false)[],
): string[] {
  return workloadsOf(manifests).flatMap((workload) => {
    const spec = workload.template.spec;
    return [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])].flatMap((container) =>
      check(container, workload)
        .filter((problem) => problem !== false)
        .map((problem) => `${workload.name}: ${problem}`),
    );
  });
}

function eachPod(manifests: readonly Manifest[], check: (workload: Workload) => (string | false)[]): string[] {
  return workloadsOf(manifests).flatMap((workload) =>
    check(workload)
      .filter((problem) => problem !== false)
      .map((problem) => `${workload.name}: ${problem}`),
  );
}

/** The first pod of ours and its container. */
function firstOf(manifests: readonly Manifest[]) {
  const spec = workloadsOf(manifests)[0]?.template.spec;
  const container = spec?.containers[0];
  if (!spec || !container) throw new Error('there is no workload to spoil');
  return { spec, container };
}

/** Names and values a container of ours sees, those of its ConfigMaps included. */
function environmentOf(container: Container, manifests: readonly Manifest[]): Map<string, string | undefined> {
  const names = (container.envFrom ?? []).map(({ configMapRef }) => configMapRef?.name);
  const maps = ofKind(manifests, 'ConfigMap').filter(({ metadata }) => names.includes(metadata?.name));
  return new Map([
    ...maps.flatMap(({ data }) => Object.entries(data ?? {})),
    ...(container.env ?? []).map(({ name, value }) => [name, value] as const),
  ]);
}

function checkSettings(container: Container, manifests: readonly Manifest[]): string[] {
  if (container.name !== 'colloquy') return [];
  return [...environmentOf(container, manifests)]
    .map(([name, value]) => settingProblem(name, value))
    .filter((problem) => problem !== null);
}

/** A file that a setting names is put there by a mounted Secret or by Vault's agent. */
function checkSecretFiles(container: Container, workload: Workload, manifests: readonly Manifest[]): string[] {
  const annotations = workload.template.metadata?.annotations ?? {};
  const secrets = (workload.template.spec?.volumes ?? []).filter(({ secret }) => secret).map(({ name }) => name);
  const mounted = (container.volumeMounts ?? []).filter(({ name }) => secrets.includes(name));
  return [...environmentOf(container, manifests)]
    .filter(([name]) => name.endsWith('_FILE'))
    .flatMap(([name, path = '']) => {
      const [folder, file] = [path.slice(0, path.lastIndexOf('/')), path.slice(path.lastIndexOf('/') + 1)];
      const byMount = mounted.some(({ mountPath }) => mountPath === folder);
      const byVault =
        annotations['vault.hashicorp.com/secret-volume-path'] === folder &&
        annotations[`vault.hashicorp.com/agent-inject-secret-${file}`] !== undefined &&
        annotations[`vault.hashicorp.com/agent-inject-template-${file}`]?.includes(`"${file}"`) === true;
      return byMount || byVault ? [] : [`nothing writes ${path} of ${name}`];
    });
}

/** Rules that hold before and after patches. */
export const workloadRules: readonly ManifestRule[] = [
  {
    name: 'every container has probes and limits',
    check: (manifests) =>
      eachContainer(manifests, ({ startupProbe, livenessProbe, readinessProbe, resources }) => [
        !startupProbe && 'no startupProbe',
        !livenessProbe && 'no livenessProbe',
        !readinessProbe && 'no readinessProbe',
        (!resources?.requests?.['cpu'] || !resources.requests['memory']) && 'no requests',
        !resources?.limits?.['memory'] && 'no limit of memory',
      ]),
    spoil: (manifests) => delete firstOf(manifests).container.readinessProbe,
  },
  {
    name: 'nobody is root, and nothing is written but to volumes',
    check: (manifests) => [
      ...eachPod(manifests, ({ template: { spec } }) => [
        spec?.securityContext?.runAsNonRoot !== true && 'may be root',
        !spec?.securityContext?.runAsUser && 'names no user: an image may have root or a name as its own',
        spec?.securityContext?.seccompProfile?.type !== 'RuntimeDefault' && 'no seccomp profile',
      ]),
      ...eachContainer(manifests, ({ securityContext: context }) => [
        context?.allowPrivilegeEscalation !== false && 'may gain rights',
        context?.readOnlyRootFilesystem !== true && 'may write to its image',
        context?.capabilities?.drop?.includes('ALL') !== true && 'keeps capabilities',
        (context?.capabilities?.add ?? []).length > 0 && 'adds capabilities',
        context?.privileged === true && 'is privileged',
      ]),
    ],
    spoil: (manifests) => delete firstOf(manifests).container.securityContext?.readOnlyRootFilesystem,
  },
  {
    name: 'images have a tag that stays the same',
    check: (manifests) =>
      eachContainer(manifests, ({ image = '' }) => [
        !/:[\w.-]*\d[\w.-]*$|@sha256:[0-9a-f]{64}$/.test(image) && `${image} is not pinned`,
      ]),
    spoil: (manifests) => (firstOf(manifests).container.image = 'images.example.com:5000/colloquy'),
  },
  {
    name: 'what stands in the environment is a setting, with a value it can have',
    check: (manifests) => eachContainer(manifests, (container) => checkSettings(container, manifests)),
    spoil: (manifests) => (firstOf(manifests).container.env = [{ name: 'WORKER_ROLE', value: 'turns' }]),
  },
  {
    name: 'values of settings are checked',
    check: (manifests) => eachContainer(manifests, (container) => checkSettings(container, manifests)),
    spoil: (manifests) => (firstOf(manifests).container.env = [{ name: 'WORKER_ROLES', value: 'turns,moderator' }]),
  },
  {
    name: 'Kubernetes adds no variables of services, which would be taken for settings',
    check: (manifests) =>
      eachPod(manifests, ({ template: { spec } }) => [spec?.enableServiceLinks !== false && 'enableServiceLinks']),
    spoil: (manifests) => delete firstOf(manifests).spec.enableServiceLinks,
  },
  {
    name: 'a pod has time to drain',
    check: (manifests) =>
      eachPod(manifests, ({ template: { spec } }) => {
        const pause = spec?.containers[0]?.lifecycle?.preStop?.exec?.command?.[1] ?? '0';
        const left = (spec?.terminationGracePeriodSeconds ?? 30) - Number(pause);
        return [left <= DRAIN_SECONDS && `${left} s left to drain`];
      }),
    spoil: (manifests) => (firstOf(manifests).spec.terminationGracePeriodSeconds = 20),
  },
  {
    name: 'no secret is written down',
    check: (manifests) => [
      ...ofKind(manifests, 'Secret').map(({ metadata }) => `Secret ${metadata?.name ?? ''} stands among the files`),
      ...eachContainer(manifests, ({ env }) =>
        (env ?? []).map(
          ({ name, value }) =>
            /KEY$|PASSWORD$|DATABASE_URL$/.test(name) && value !== undefined && `${name} has a value`,
        ),
      ),
    ],
    spoil: (manifests) => manifests.push({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'colloquy' } }),
  },
];

/** What holds only once an overlay's patches are applied. */
export const renderedRules: readonly ManifestRule[] = [
  {
    name: 'every file of a setting is written by a Secret or by Vault',
    check: (manifests) => eachContainer(manifests, (container, pod) => checkSecretFiles(container, pod, manifests)),
    spoil(manifests) {
      const [map] = ofKind(manifests, 'ConfigMap');
      if (map?.data) map.data['OPENAI_API_KEY_FILE'] = '/run/secrets/elsewhere/openai-api-key';
    },
  },
  {
    name: 'images come from a registry that is named',
    check: (manifests) =>
      eachContainer(manifests, ({ name, image = '' }) => [
        name === 'colloquy' && !image.includes('/') && `${image} is the name of the base`,
      ]),
    spoil: (manifests) => (firstOf(manifests).container.image = 'colloquy:0.1.0'),
  },
];
