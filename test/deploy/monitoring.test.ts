/** Prometheus and Grafana beside the containers: they find each other's files, and the token is a secret of all three. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import { readYaml } from './manifests.ts';
import { settingProblem } from './settingsNamed.ts';

interface Service {
  readonly image?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly secrets?: readonly string[];
  readonly configs?: readonly { readonly source: string; readonly target: string }[];
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly healthcheck?: object;
  readonly deploy?: { readonly resources: { readonly limits: object } };
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly configs: Readonly<Record<string, { readonly file: string }>>;
  readonly volumes: object;
  readonly secrets: object;
}

const test = suite('monitoring');
const deploy = join(import.meta.dirname, '../../deploy');
const [compose] = readYaml(join(deploy, 'observability/compose.yaml')) as Compose[];
const [prometheus] = readYaml(join(deploy, 'observability/prometheus.yaml')) as {
  rule_files: string[];
  scrape_configs: { job_name: string; authorization: { credentials_file: string } }[];
}[];

test('what is named is there: files, secrets, volumes, settings', () => {
  assert.ok(compose);
  for (const { file } of Object.values(compose.configs)) assert.ok(existsSync(join(deploy, file)), file);
  for (const [name, service] of Object.entries(compose.services)) {
    for (const { source } of service.configs ?? []) assert.ok(source in compose.configs, `${name}: ${source}`);
    for (const secret of service.secrets ?? []) assert.ok(secret in compose.secrets, `${name}: ${secret}`);
    for (const volume of service.volumes ?? []) assert.ok((volume.split(':')[0] ?? '') in compose.volumes, volume);
  }
  for (const ours of ['api', 'worker'])
    for (const name of Object.keys(compose.services[ours]?.environment ?? {}))
      assert.is(settingProblem(name, undefined), null, `${ours}: ${name}`);
});

test('what runs besides is pinned, bounded, watched and not open to the network', () => {
  for (const name of ['prometheus', 'grafana']) {
    const service = compose?.services[name];
    assert.match(service?.image ?? '', /:v?\d+\.\d+\.\d+$/, name);
    assert.ok(service?.healthcheck && service.deploy?.resources.limits, name);
    for (const port of service.ports ?? []) assert.match(port, /^127\.0\.0\.1:/, name);
  }
});

test('Prometheus finds its rules, sends the token, and names the job as the alerts do', () => {
  const [job] = prometheus?.scrape_configs ?? [];
  const targets = (compose?.services['prometheus']?.configs ?? []).map(({ target }) => target);
  for (const file of prometheus?.rule_files ?? []) assert.ok(targets.includes(`/etc/prometheus/${file}`), file);
  assert.is(job?.job_name, 'colloquy');
  assert.is(job?.authorization.credentials_file, '/run/secrets/metrics_token');
  for (const name of ['api', 'worker', 'prometheus'])
    assert.ok(compose?.services[name]?.secrets?.includes('metrics_token'), name);
});

test.run();
