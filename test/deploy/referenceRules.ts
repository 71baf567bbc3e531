/** What the manifests of deploy/kubernetes say of each other; each rule with a change that it must notice. */
import type { INetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import { type Manifest, ofKind, type Workload, workloadsOf } from './manifests.ts';
import type { ManifestRule } from './workloadRules.ts';

type Selector = NonNullable<INetworkPolicy['spec']>['podSelector'];
type Direction = 'Ingress' | 'Egress';

function selects(selector: Selector | undefined, labels: Readonly<Record<string, string>>): boolean {
  const equal = Object.entries(selector?.matchLabels ?? {}).every(([key, value]) => labels[key] === value);
  return (
    equal &&
    (selector?.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
      if (operator !== 'In') throw new Error(`selectors with ${operator} are not understood here`);
      return values.includes(labels[key] ?? '');
    })
  );
}

function named<T extends Manifest>(manifests: readonly T[], name: string | undefined): T | undefined {
  return manifests.find(({ metadata }) => metadata?.name === name);
}

function policiesFor(manifests: readonly Manifest[], workload: Workload, direction: Direction): INetworkPolicy[] {
  return ofKind(manifests, 'NetworkPolicy').filter(
    ({ spec }) => spec?.policyTypes?.includes(direction) === true && selects(spec.podSelector, workload.labels),
  );
}

function checkPolicies(manifests: readonly Manifest[]): string[] {
  const problems = (['Ingress', 'Egress'] as const).flatMap((direction) => {
    const closed = ofKind(manifests, 'NetworkPolicy').some(
      ({ spec }) =>
        spec?.policyTypes?.includes(direction) === true &&
        Object.keys(spec.podSelector ?? {}).length === 0 &&
        (direction === 'Ingress' ? spec.ingress : spec.egress) === undefined,
    );
    return closed ? [] : [`nothing denies ${direction} to all`];
  });
  for (const workload of workloadsOf(manifests)) {
    const into = policiesFor(manifests, workload, 'Ingress').flatMap(({ spec }) => spec?.ingress ?? []);
    const out = policiesFor(manifests, workload, 'Egress').flatMap(({ spec }) => spec?.egress ?? []);
    const names = out.some(({ ports }) => (ports ?? []).some(({ port }) => port === 53));
    if (!names) problems.push(`${workload.name} cannot look up names`);
    if (into.length === 0) problems.push(`nobody may reach ${workload.name}`);
    // A rule without peers or ports lets everybody in.
    const everybody = [...into.map(({ from, ports }) => [from, ports]), ...out.map(({ to, ports }) => [to, ports])];
    if (everybody.some((parts) => parts.some((part) => (part ?? []).length === 0)))
      problems.push(`a rule of ${workload.name} names no peers or no ports`);
    for (const service of servicesOf(manifests, workload)) {
      const target = targetPort(service, workload);
      const open = into.some(({ ports }) => (ports ?? []).some(({ port }) => port === target));
      if (!open) problems.push(`${service.metadata?.name ?? ''}: nobody may reach port ${target} of ${workload.name}`);
    }
  }
  return problems;
}

function servicesOf(manifests: readonly Manifest[], workload: Workload) {
  return ofKind(manifests, 'Service').filter(({ spec }) =>
    selects({ matchLabels: spec?.selector ?? {} }, workload.labels),
  );
}

function targetPort(service: ReturnType<typeof servicesOf>[number], { template }: Workload): number | undefined {
  const target = service.spec?.ports?.[0]?.targetPort;
  const ports = template.spec?.containers.flatMap((container) => container.ports ?? []) ?? [];
  return ports.find(({ name, containerPort }) => name === target || containerPort === target)?.containerPort;
}

function checkReferences(manifests: readonly Manifest[]): string[] {
  const workloads = workloadsOf(manifests);
  const services = ofKind(manifests, 'Service');
  const problems: string[] = [];
  for (const { metadata, spec } of services) {
    const hit = workloads.filter(({ labels }) => selects({ matchLabels: spec?.selector ?? {} }, labels));
    if (hit.length !== 1) problems.push(`Service ${metadata?.name ?? ''} selects ${hit.length} workloads`);
    for (const workload of hit)
      for (const service of servicesOf(manifests, workload))
        if (targetPort(service, workload) === undefined) problems.push(`${workload.name} has no port of its Service`);
  }
  for (const { metadata, spec } of ofKind(manifests, 'HorizontalPodAutoscaler')) {
    const deployment = named(ofKind(manifests, 'Deployment'), spec?.scaleTargetRef.name);
    if (!deployment) problems.push(`HorizontalPodAutoscaler ${metadata?.name ?? ''} scales nothing`);
    else if (deployment.spec?.replicas !== undefined)
      problems.push(`${metadata?.name ?? ''}: replicas would undo what the autoscaler does`);
  }
  for (const { metadata, spec } of ofKind(manifests, 'Ingress')) {
    const hosts = (spec?.tls ?? []).flatMap(({ hosts = [] }) => hosts);
    for (const { host, http } of spec?.rules ?? []) {
      if (!hosts.includes(host ?? ''))
        problems.push(`Ingress ${metadata?.name ?? ''}: no TLS for ${host ?? 'any host'}`);
      for (const { backend } of http?.paths ?? [])
        if (!named(services, backend.service?.name)) problems.push(`Ingress ${metadata?.name ?? ''} leads nowhere`);
    }
  }
  for (const { kind, name, labels, template } of workloads) {
    if (
      kind === 'Deployment' &&
      !ofKind(manifests, 'PodDisruptionBudget').some(({ spec }) => selects(spec?.selector, labels))
    )
      problems.push(`${name} has no PodDisruptionBudget`);
    for (const { envFrom } of template.spec?.containers ?? [])
      for (const { configMapRef } of envFrom ?? [])
        if (!named(ofKind(manifests, 'ConfigMap'), configMapRef?.name))
          problems.push(`${name}: its ConfigMap is not there`);
  }
  return problems;
}

/** Rules about what manifests say of each other. */
export const referenceRules: readonly ManifestRule[] = [
  {
    name: 'every workload is behind network policies that name who and where',
    check: checkPolicies,
    spoil(manifests) {
      const [policy] = ofKind(manifests, 'NetworkPolicy').filter(({ metadata }) => metadata?.name === 'default-deny');
      if (policy?.spec) policy.spec.policyTypes = ['Ingress'];
    },
  },
  {
    name: 'a workload that no policy lets anybody reach is noticed',
    check: checkPolicies,
    spoil(manifests) {
      const [deployment] = ofKind(manifests, 'Deployment');
      if (deployment?.spec?.template.metadata) deployment.spec.template.metadata.labels = { app: 'unknown' };
    },
  },
  {
    name: 'services, autoscalers, budgets, routes and settings lead somewhere',
    check: checkReferences,
    spoil(manifests) {
      const [autoscaler] = ofKind(manifests, 'HorizontalPodAutoscaler');
      if (autoscaler?.spec) autoscaler.spec.scaleTargetRef.name = 'colloquy-worker';
    },
  },
  {
    name: 'a host without TLS is noticed',
    check: checkReferences,
    spoil(manifests) {
      const [rule] = ofKind(manifests, 'Ingress').flatMap(({ spec }) => spec?.rules ?? []);
      if (rule) rule.host = 'other.example.com';
    },
  },
];
