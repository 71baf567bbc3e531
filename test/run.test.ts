import { execFile } from 'node:child_process';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { suite } from './harness.ts';
import { environmentWith } from './services.ts';

const test = suite('npm test');
const NOBODY_LISTENS = 'postgres://postgres@127.0.0.1:1/none';

async function runTests(
  pattern: string,
  extra: Record<string, string> = {},
): Promise<{ code: number; lines: string[] }> {
  const args = ['--import', 'tsx', join(import.meta.dirname, 'run.ts'), pattern];
  return await new Promise((resolve) => {
    const child = execFile(process.execPath, args, { env: environmentWith(extra), timeout: 60_000 }, (_error, stdout) =>
      resolve({ code: child.exitCode ?? -1, lines: stdout.trimEnd().split('\n') }),
    );
  });
}

test('a pattern that matches no file, or is no pattern, fails', async () => {
  for (const pattern of ['no such file', '(']) {
    const { code, lines } = await runTests(pattern);
    assert.is(code, 1);
    assert.is(lines.at(-1), '0 passed, 1 failed');
  }
});

test('without PostgreSQL the suites left out are named with the reason', async () => {
  const { code, lines } = await runTests('test/services.test', { CI: '', TEST_DATABASE_URL: NOBODY_LISTENS });
  assert.match(lines.join('\n'), /left out, PostgreSQL .*does not answer: .*ECONNREFUSED.*:\n +services\.test\.ts\n/);
  assert.equal([code, lines.at(-1)], [0, '0 passed, 0 failed']);
});

test('without NATS the suites left out are named with the reason', async () => {
  const { code, lines } = await runTests('test/infra/natsContract', { CI: '', TEST_NATS_URL: 'nats://127.0.0.1:1' });
  assert.match(
    lines.join('\n'),
    /left out, NATS .*does not answer: .*CONNECTION_REFUSED.*:\n +infra\/natsContract\.test\.ts\n/,
  );
  assert.equal([code, lines.at(-1)], [0, '0 passed, 0 failed']);
});

test('under CI a suite left out is a failure', async () => {
  const { code, lines } = await runTests('test/services.test', { CI: 'true', TEST_DATABASE_URL: NOBODY_LISTENS });
  assert.equal([code, lines.at(-1)], [1, '0 passed, 1 failed']);
});

test.run();
