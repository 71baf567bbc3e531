import { chmod, mkdtemp, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { loadEmbeddedCredentials, loadTokens, type TokenOptions } from '../../infra/tokens.ts';
import { suite } from '../harness.ts';

const test = suite('tokens');
let options: TokenOptions;

test.before.each(async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'colloquy-tokens-'));
  options = { dataDir, issuer: 'colloquy', audience: 'colloquy-api' };
});
test.after.each(async () => {
  await rm(options.dataDir, { recursive: true });
});

const mode = async (name: string): Promise<number> => (await stat(join(options.dataDir, name))).mode & 0o777;

test('key and token are made once, readable by their owner only, and reused', async () => {
  const first = await loadTokens(options);
  const made = await loadEmbeddedCredentials(first, options);
  assert.is(await mode('signing.key'), 0o600);
  assert.is(await mode('credentials.json'), 0o600);
  assert.equal(JSON.parse(await readFile(join(options.dataDir, 'credentials.json'), 'utf8')), { token: made.token });
  const second = await loadTokens(options);
  assert.is(second.signingKey.kid, first.signingKey.kid);
  assert.is((await loadEmbeddedCredentials(second, options)).token, made.token);
});

test('ten starts at once end with one key and one token', async () => {
  const tokens = await Promise.all(
    Array.from({ length: 10 }, async () => (await loadEmbeddedCredentials(await loadTokens(options), options)).token),
  );
  assert.is(new Set(tokens).size, 1);
});

test('a damaged credentials file and one of another key are replaced', async () => {
  const tokens = await loadTokens(options);
  const before = await loadEmbeddedCredentials(tokens, options);
  await writeFile(join(options.dataDir, 'credentials.json'), '{"token":');
  const after = await loadEmbeddedCredentials(tokens, options);
  assert.is.not(after.token, before.token);
  await unlink(join(options.dataDir, 'signing.key'));
  assert.is.not((await loadEmbeddedCredentials(await loadTokens(options), options)).token, after.token);
});

test('modes that are too open are set right', async () => {
  await loadEmbeddedCredentials(await loadTokens(options), options);
  for (const name of ['signing.key', 'credentials.json']) await chmod(join(options.dataDir, name), 0o644);
  await loadEmbeddedCredentials(await loadTokens(options), options);
  assert.is(await mode('signing.key'), 0o600);
  assert.is(await mode('credentials.json'), 0o600);
});

test('deleting the file revokes the token within 2 s', async () => {
  const made = await loadEmbeddedCredentials(await loadTokens(options), options);
  assert.is(made.isCurrent(made.tokenId), true);
  assert.is(made.isCurrent('another'), false);
  await unlink(join(options.dataDir, 'credentials.json'));
  await sleep(2_050);
  assert.is(made.isCurrent(made.tokenId), false);
});

test('a key of one’s own is used as it is, and refused when short', async () => {
  const signingKeyFile = join(options.dataDir, 'own.key');
  await writeFile(signingKeyFile, 'short');
  await loadTokens({ ...options, signingKeyFile }).then(
    () => assert.unreachable(),
    (error: Error) => assert.match(error.message, /shorter than 32 bytes/),
  );
  await writeFile(signingKeyFile, 'a'.repeat(43));
  const { kid } = (await loadTokens({ ...options, signingKeyFile })).signingKey;
  assert.is((await loadTokens({ ...options, signingKeyFile })).signingKey.kid, kid);
});

test.run();
