/** The alert rules of deploy/, as they lie there. */
import { join } from 'node:path';
import { readYaml } from './manifests.ts';

export interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly runbook: string };
}

export const alertsFile = join(import.meta.dirname, '../../deploy/observability/alerts.yaml');

/** @throws Error when the file holds something else. */
export function readAlerts(): readonly Alert[] {
  const [file] = readYaml(alertsFile) as { groups: { name: string; rules: Alert[] }[] }[];
  if (!file) throw new Error('alerts.yaml is empty');
  return file.groups.flatMap(({ rules }) => rules);
}
