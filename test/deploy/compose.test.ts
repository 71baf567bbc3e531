/** The compose file: by compose's own schema and by rules of ours. No container is started. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import { readYaml } from './manifests.ts';
import { settingProblem } from './settingsNamed.ts';

interface Service {
  image?: string;
  build?: { context: string; dockerfile: string };
  command?: string[];
  environment?: Record<string, string>;
  user?: string;
  read_only?: boolean;
  tmpfs?: string[];
  cap_drop?: string[];
  security_opt?: string[];
  ports?: string[];
  networks?: string[];
  volumes?: string[];
  secrets?: string[];
  restart?: string;
  stop_grace_period?: string;
  profiles?: string[];
  healthcheck?: { test: string[] };
  depends_on?: Record<string, { condition: string }>;
  deploy?: { resources?: { limits?: { cpus?: string; memory?: string } } };
}

interface Compose {
  services: Record<string, Service>;
  networks: Record<string, { internal?: boolean }>;
  volumes: Record<string, object>;
  secrets: Record<string, { file: string }>;
}

const test = suite('compose');
const root = join(import.meta.dirname, '../..');
const [composed] = readYaml(join(root, 'deploy/compose.yaml')) as Compose[];
if (!composed) throw new Error('deploy/compose.yaml is empty');
const compose: Compose = composed;
const OURS = ['api', 'worker'];

/** What is wrong, each a sentence. */
function problemsOf({ services, networks, volumes, secrets }: Compose): string[] {
  const problems: string[] = [];
  for (const [name, service] of Object.entries(services)) {
    const say = (wrong: boolean, what: string) => wrong && problems.push(`${name}: ${what}`);
    const image = (service.image ?? '').replace(/^\$\{\w+:-(.*)\}$/, '$1');
    say(!/:[\w.-]*\d[\w.-]*$/.test(image), `${image} is not pinned`);
    say(!service.healthcheck?.test.length, 'no healthcheck');
    say(!['always', 'unless-stopped'].includes(service.restart ?? ''), 'is not started again');
    const { cpus, memory } = service.deploy?.resources?.limits ?? {};
    say(cpus === undefined || memory === undefined, 'no limits');
    say(service.security_opt?.includes('no-new-privileges:true') !== true, 'may gain rights');
    say(name !== 'api' && service.ports !== undefined, 'is published');
    for (const network of service.networks ?? ['none']) say(!(network in networks), `network ${network} is not there`);
    for (const volume of service.volumes ?? []) {
      const [source = ''] = volume.split(':');
      say(!(source in volumes), `volume ${source} is not there`);
    }
    for (const secret of service.secrets ?? []) say(!(secret in secrets), `secret ${secret} is not there`);
    for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
      say(condition !== 'service_healthy', `does not wait for ${other} to be healthy`);
      say(!(other in services) || services[other]?.profiles !== undefined, `${other} is not started with it`);
    }
    for (const [key, value] of Object.entries(service.environment ?? {})) {
      const file = /^\/run\/secrets\/(.+)$/.exec(String(value))?.[1];
      say(file !== undefined && service.secrets?.includes(file) !== true, `${key} names a secret that it is not given`);
      say(/(PASSWORD|KEY|DATABASE_URL)$/.test(key), `${key} stands in the file`);
    }
    if (OURS.includes(name)) problems.push(...oursProblems(service).map((problem) => `${name}: ${problem}`));
    else say((service.networks ?? []).join() !== 'inside' && name !== 'ollama', 'is not only inside');
  }
  return problems;
}

function oursProblems(service: Service): string[] {
  const problems = Object.entries(service.environment ?? {}).map(([name, value]) =>
    settingProblem(name, value.replace(/^\$\{\w+:-(.*)\}$/, '$1')),
  );
  return [
    ...problems.filter((problem) => problem !== null),
    ...(service.user === undefined || /^(0|root)\b/.test(service.user) ? ['is root'] : []),
    ...(service.read_only === true ? [] : ['may write to its image']),
    ...(service.tmpfs?.some((mount) => mount.startsWith('/data:')) === true ? [] : ['has nowhere to put its files']),
    ...(service.cap_drop?.includes('ALL') === true ? [] : ['keeps capabilities']),
    ...(Number.parseInt(service.stop_grace_period ?? '10') > 25 ? [] : ['has no time to drain']),
  ];
}

test("compose's schema takes the file, and control: refuses a misspelt field", () => {
  const schema = JSON.parse(readFileSync(join(root, 'test/vectors/compose-spec.json'), 'utf8')) as object;
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  const validate = ajv.compile(schema);
  assert.ok(validate(compose), ajv.errorsText(validate.errors));
  const wrong = structuredClone(compose);
  Object.assign(wrong.services['nats'] ?? {}, { heathcheck: {} });
  assert.not.ok(validate(wrong));
});

test('services are pinned, watched, limited, restarted, closed in, and given settings that exist', () => {
  const problems = problemsOf(compose);
  assert.is(problems.length, 0, ['', ...problems].join('\n  '));
});

test('control: each of that is noticed', () => {
  const spoils: [RegExp, (services: Compose['services']) => unknown][] = [
    [/not pinned/, ({ nats }) => Object.assign(nats ?? {}, { image: 'nats:latest' })],
    [/no healthcheck/, ({ postgres }) => delete postgres?.healthcheck],
    [/not started again/, ({ eventstoredb }) => delete eventstoredb?.restart],
    [/no limits/, ({ worker }) => delete worker?.deploy],
    [/is published/, ({ postgres }) => Object.assign(postgres ?? {}, { ports: ['5432:5432'] })],
    [/not only inside/, ({ postgres }) => Object.assign(postgres ?? {}, { networks: ['outside'] })],
    [/is no setting/, ({ api }) => Object.assign(api?.environment ?? {}, { NATS_URLS: 'nats://nats' })],
    [/cannot be/, ({ worker }) => Object.assign(worker?.environment ?? {}, { WORKER_ROLES: 'all' })],
    [/stands in the file/, ({ postgres }) => Object.assign(postgres?.environment ?? {}, { POSTGRES_PASSWORD: 'x' })],
    [/not given/, ({ worker }) => delete worker?.secrets],
    [/is root/, ({ api }) => delete api?.user],
    [/no time to drain/, ({ api }) => delete api?.stop_grace_period],
    [/does not wait/, ({ api }) => Object.assign(api?.depends_on?.['nats'] ?? {}, { condition: 'service_started' })],
    [/not started with it/, ({ weaviate }) => Object.assign(weaviate ?? {}, { profiles: ['vectors'] })],
  ];
  for (const [says, spoil] of spoils) {
    const copy = structuredClone(compose);
    spoil(copy.services);
    assert.match(problemsOf(copy).join('\n'), says);
  }
});

test('only the API is published, on the loopback address unless told otherwise, and servers have no way out', () => {
  assert.equal(compose.services['api']?.ports, ['${API_ADDRESS:-127.0.0.1}:${API_PORTS:-4400}:4400']);
  assert.is(compose.networks['inside']?.internal, true);
});

test('both processes are one image of this version, built from the Dockerfile', () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  for (const name of OURS) {
    const { image, build } = compose.services[name] ?? {};
    assert.is(image, `\${COLLOQUY_IMAGE:-colloquy:${version}}`);
    assert.ok(existsSync(join(root, 'deploy', build?.context ?? '', build?.dockerfile ?? 'none')));
  }
});

test('docs/deployment.md makes every secret that the file names', () => {
  const text = readFileSync(join(root, 'docs/deployment.md'), 'utf8');
  for (const [name, { file }] of Object.entries(compose.secrets)) {
    assert.ok(file.endsWith(`/${name}`), file);
    assert.match(text, new RegExp(`> ${name}$`, 'm'));
  }
});

console.log('left out: the containers themselves: images cannot be fetched or run in the tests');
test.run();
