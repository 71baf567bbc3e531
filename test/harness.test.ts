import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { suite } from './harness.ts';
import { environmentWith } from './services.ts';
import { type FileResult, runTestFile } from './testFile.ts';

const test = suite('harness and test files');
const harness = JSON.stringify(new URL('./harness.ts', import.meta.url).href);
let folder = '';

test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'colloquy-harness-'));
  await writeFile(join(folder, 'package.json'), '{"type":"module"}');
});
test.after(() => rm(folder, { recursive: true, force: true }));

let count = 0;
async function outcome(body: string, deadlineMs = 20_000): Promise<FileResult> {
  const file = join(folder, `case${(count += 1)}.test.ts`);
  await writeFile(file, `import { suite } from ${harness};\nconst test = suite('inner');\n${body}\n`);
  return await runTestFile(file, { env: environmentWith({}), deadlineMs });
}

const broken: readonly { name: string; body: string; passed: number; failed: number; says: RegExp }[] = [
  {
    name: 'a promise that never settles is named and the next test still runs',
    body: `test('never', () => new Promise(() => {}), { deadlineMs: 100 }); test('next', () => {}); test.run();`,
    passed: 1,
    failed: 1,
    says: /"inner: never" did not end within 100 ms/,
  },
  {
    name: 'a before hook that throws fails every test, also when it throws no Error',
    body: `test.before(() => { throw 'nope'; }); test('a', () => {}); test('b', () => {}); test.run();`,
    passed: 0,
    failed: 2,
    says: /before hook failed: threw 'nope'/,
  },
  {
    name: 'an after hook that rejects fails the run',
    body: `test.after(() => Promise.reject(new Error('stuck'))); test('a', () => {}); test.run();`,
    passed: 0,
    failed: 1,
    says: /after hook failed: stuck/,
  },
  {
    name: 'an after.each hook that throws does not hide the tests behind it',
    body: `let n = 0; test.after.each(() => { if (n++ === 0) throw new Error('once'); });
      test('a', () => { throw new Error('first'); }); test('b', () => {}); test.run();`,
    passed: 1,
    failed: 1,
    says: /first\n +also: after.each hook failed: once/,
  },
  {
    name: 'a rejection nobody awaits fails the test under way',
    body: `test('a', async () => { void Promise.reject(new Error('aside')); await new Promise((r) => setTimeout(r, 50)); });
      test.run();`,
    passed: 0,
    failed: 1,
    says: /uncaught: aside/,
  },
  {
    name: 'an open handle is reported and does not hang',
    body: `import net from 'node:net'; test('opens', () => void net.createServer().listen(0)); test.run();`,
    passed: 1,
    failed: 1,
    says: /open handles 3000 ms after the last test: TCPServerWrap/,
  },
  {
    name: 'a suite that is never run is a failure',
    body: `test('a', () => {});`,
    passed: 0,
    failed: 1,
    says: /suite "inner" never called \.run\(\)/,
  },
  {
    name: 'a suite without tests is a failure',
    body: `test.run();`,
    passed: 0,
    failed: 1,
    says: /suite "inner" has no tests/,
  },
  {
    name: 'a process that ends in the middle is a failure even with exit code 0',
    body: `test('leaves', () => process.exit(0)); test.run();`,
    passed: 0,
    failed: 1,
    says: /the process ended during "inner: leaves"/,
  },
];

for (const { name, body, passed, failed, says } of broken) {
  test(
    name,
    async () => {
      const result = await outcome(body);
      assert.match(result.output, says);
      assert.equal([result.passed, result.failed], [passed, failed], result.output);
    },
    { deadlineMs: 30_000 },
  );
}

test('hooks run in their places and a sound file passes', async () => {
  const result = await outcome(`const seen = []; test.before(() => seen.push('before'));
    test.before.each(() => seen.push('<')); test.after.each(() => seen.push('>'));
    test.after(() => console.log(seen.join(' '))); test('a', () => seen.push('a')); test('b', () => seen.push('b')); test.run();`);
  assert.match(result.output, /before < a > < b >\n/);
  assert.equal([result.passed, result.failed, result.problem], [2, 0, null]);
});

test('a file that blocks its process is killed at the deadline and its test named', async () => {
  // It would end by itself some day: nobody else ends it when this file is killed meanwhile.
  const spins = `const began = Date.now(); test('spins', () => { while (Date.now() - began < 60_000); }); test.run();`;
  const result = await outcome(spins, 2_000);
  assert.equal([result.passed, result.failed], [0, 1]);
  assert.is(result.problem, 'did not end within 2000 ms, it was at "inner: spins"');
});

test('what a file left running dies with it', async () => {
  const sign = join(folder, 'sign');
  const result = await outcome(`import { spawn } from 'node:child_process';
    test('leaves one', () => spawn('sh', ['-c', 'sleep 1; : > ${sign}'], { stdio: 'inherit' }).unref());
    test.run();`);
  assert.equal([result.passed, result.failed], [1, 0], result.output);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  assert.not.ok(existsSync(sign));
});

test('a file that tests nothing is a failure', async () => {
  const result = await outcome(`console.log('hello');`);
  assert.equal([result.passed, result.failed], [0, 1]);
  assert.match(result.problem ?? '', /ended without a summary/);
});

test('suites with a wait between them run once each, one after the other', async () => {
  const result = await outcome(`const later = suite('later'); const order = [];
    const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    test('a', async () => { order.push('a'); await pause(300); order.push('b'); });
    test('fails', () => { order.push('c'); throw new Error('seen'); });
    test.run();
    await pause(100);
    later('d', () => { order.push('d'); console.log('order ' + order.join('')); });
    later.run();
    await pause(800);
    const last = suite('last');
    last('e', () => order.push('e'));
    last.run();`);
  assert.match(result.output, /order abcd\n/);
  assert.equal([result.passed, result.failed, result.problem], [3, 1, null], result.output);
});

test.run();
