/** The seven kinds of tampering, each found and its first bad event named. */
import * as assert from 'uvu/assert';
import { extendEvidence } from '../../domain/audit/extend.ts';
import { openEvidence } from '../../domain/audit/evidence.ts';
import type { Finding } from '../../domain/audit/findings.ts';
import { collect } from './sampleEvents.ts';
import { type Suite, suite } from '../harness.ts';
import { type Auditing, anAuditing, fill, placeOf, type TamperableLog } from '../audit/auditedLog.ts';

const COVERED = 35;
const ALL = 40;

interface Scene {
  readonly log: TamperableLog;
  readonly audit: Auditing;
}

/** Registers and runs the suite on logs that `make` opens empty. */
export function tamperingSuite(name: string, make: () => Promise<TamperableLog>): void {
  const test = suite(name);
  let opened: Scene[] = [];
  const scene = async (): Promise<Scene> => {
    const made = { log: await make(), audit: await anAuditing() };
    opened.push(made);
    for (const [from, to] of [
      [0, 10],
      [10, 20],
      [20, COVERED],
    ] as const) {
      await fill(made.log.store(), from, to);
      await made.audit.checkpoint(made.log.store());
    }
    await fill(made.log.store(), COVERED, ALL);
    return made;
  };
  test.after.each(async () => {
    for (const { log, audit } of opened) await Promise.all([log.stop(), audit.stop()]);
    opened = [];
  });
  logTampering(test, scene);
  evidenceTampering(test, scene);
  test.run();
}

/** The first bad event is the one at the index of the log as it was. */
function assertNames(found: Finding | null, kind: string, index: number, named = placeOf(index)): void {
  assert.is(found?.kind, kind, found?.says);
  assert.is(found?.where, 'log');
  assert.is(found?.index, index);
  assert.is(found?.stream, named.stream);
  assert.is(found?.revision, named.revision);
}

function logTampering(test: Suite, scene: () => Promise<Scene>): void {
  test('a log that nobody touched is proven, its young end is not covered yet', async () => {
    const { log, audit } = await scene();
    const verdict = await audit.verify(log.store());
    assert.is(verdict.verdict, 'ok', JSON.stringify(verdict.findings));
    assert.equal([verdict.coveredTo?.size, verdict.notCovered, verdict.checkpoints], [COVERED, ALL - COVERED, 3]);
  });

  for (const index of [0, 9, 12, COVERED - 1])
    test(`1 flip: one letter of event ${index}`, async () => {
      const { log, audit } = await scene();
      await log.flip(index);
      const { verdict, firstBad, findings } = await audit.verify(log.store());
      assert.is(verdict, 'violation');
      assertNames(firstBad, 'changed', index);
      assert.is(findings.length, 1);
    });

  for (const index of [0, 12, 19])
    test(`2 delete: event ${index} is gone`, async () => {
      const { log, audit } = await scene();
      await log.remove(index);
      assertNames((await audit.verify(log.store())).firstBad, 'missing', index, placeOf(index + 1));
    });

  for (const index of [0, 12])
    test(`3 insert: a forged event before event ${index}`, async () => {
      const { log, audit } = await scene();
      await log.insert(index);
      const { firstBad } = await audit.verify(log.store());
      assert.is(firstBad?.kind, 'inserted');
      assert.is(firstBad?.index, index);
      assert.is(firstBad?.eventId, 'f0f0f0f0-f0f0-4f0f-8f0f-f0f0f0f0f0f0');
    });

  test('4 reorder: two events have changed places', async () => {
    const { log, audit } = await scene();
    await log.swap(11, 15);
    assertNames((await audit.verify(log.store())).firstBad, 'reordered', 11, placeOf(15));
  });

  test('5 truncate: the end of what was covered is gone, also when the log has grown again', async () => {
    const { log, audit } = await scene();
    await log.cut(COVERED - 3);
    const { firstBad } = await audit.verify(log.store());
    assert.equal([firstBad?.kind, firstBad?.index, firstBad?.stream], ['truncated', COVERED - 3, null]);
    await fill(log.store(), COVERED - 3, ALL, 'regrown');
    assertNames((await audit.verify(log.store())).firstBad, 'rewritten', COVERED - 3);
  });

  test('5 truncate: of what no checkpoint covers yet nothing is said', async () => {
    const { log, audit } = await scene();
    await log.cut(COVERED + 1);
    const { verdict, notCovered } = await audit.verify(log.store());
    assert.equal([verdict, notCovered], ['ok', 1]);
  });

  test('6 fork: a second history from some event on, with checkpoints of its own, against who holds an older one', async () => {
    const { log, audit } = await scene();
    const kept = await audit.evidence.note(COVERED);
    await log.cut(22);
    await fill(log.store(), 22, ALL, 'another history');
    assertNames((await audit.verify(log.store())).firstBad, 'rewritten', 22);
    // Whoever has the key signs the second history anew.
    const forged = await anAuditing(audit.signer);
    try {
      await forged.checkpoint(log.store());
      assert.is((await forged.verify(log.store())).verdict, 'ok');
      const { verdict, findings, firstBad } = await forged.verify(log.store(), [kept]);
      assert.is(verdict, 'violation');
      assert.is(firstBad?.kind, 'fork', JSON.stringify(findings));
    } finally {
      await forged.stop();
    }
  });

  test('7 rewrite: an event is changed and all that follows from it is made anew, leaves too', async () => {
    const { log, audit } = await scene();
    await log.flip(12);
    await rewriteLeaves({ log, audit });
    const { verdict, firstBad, coveredTo } = await audit.verify(log.store());
    assert.is(verdict, 'violation');
    assert.is(coveredTo?.size, 10);
    assertNames(firstBad, 'rewritten', 10);
    assert.match(firstBad?.says ?? '', /events 10 to 19/);
  });

  test('7 rewrite: checkpoints made anew without the key do not count', async () => {
    const { log, audit } = await scene();
    await log.flip(12);
    const forged = await anAuditing();
    try {
      await forged.checkpoint(log.store());
      for (const { name } of await audit.objects.list('')) await audit.objects.remove(name);
      for (const { name } of await forged.objects.list('')) await audit.objects.put(name, forged.objects.get(name));
      const { verdict, findings } = await audit.verify(log.store());
      assert.is(verdict, 'violation');
      assert.match(findings[0]?.says ?? '', /not signed by a trusted key/);
    } finally {
      await forged.stop();
    }
  });
}

/** Leaves that follow from the log as it is now, in the place of the others. */
async function rewriteLeaves({ log, audit }: Scene): Promise<void> {
  const forged = await anAuditing(audit.signer);
  for (const { name, sizeBytes } of await audit.objects.list('leaves/')) {
    const [, from = '', to = ''] = /(\d+)-(\d+)/.exec(name) ?? [];
    assert.is(sizeBytes, (Number(to) - Number(from)) * 40);
    const evidence = openEvidence(forged.objects);
    const extension = await extendEvidence({ store: log.store(), evidence, signer: audit.signer, trusted: [] });
    await extension.read(Number(to) - Number(from));
    await extension.write('2026-01-02T03:04:05.678Z');
    await audit.objects.put(name, forged.objects.get(name), { replace: true });
  }
  await forged.stop();
}

function evidenceTampering(test: Suite, scene: () => Promise<Scene>): void {
  test('leaves that were changed or are missing are told apart from a log that was', async () => {
    const { log, audit } = await scene();
    const [, second] = await audit.objects.list('leaves/');
    const bytes = Buffer.concat(await collect(audit.objects.get(second?.name ?? '')));
    bytes[50] = (bytes[50] ?? 0) ^ 1;
    await audit.objects.put(second?.name ?? '', bytes, { replace: true });
    const changed = await audit.verify(log.store());
    assert.equal([changed.verdict, changed.firstBad], ['violation', null]);
    assert.equal(
      changed.findings.map(({ where, kind }) => [where, kind]),
      [['evidence', 'leaves']],
    );
    assert.is(changed.coveredTo?.size, COVERED);
    await audit.objects.remove(second?.name ?? '');
    const missing = await audit.verify(log.store());
    assert.is(missing.firstBad, null);
    assert.match(missing.findings[0]?.says ?? '', /10 to 19 of the evidence are missing/);
  });

  test('a checkpoint that was changed does not count, the others still prove the log', async () => {
    const { log, audit } = await scene();
    const name = `checkpoints/${String(20).padStart(12, '0')}.note`;
    const note = await audit.evidence.note(20);
    await audit.objects.put(name, Buffer.from(note.replace('time 2026', 'time 2025')), { replace: true });
    const { verdict, firstBad, findings, coveredTo } = await audit.verify(log.store());
    assert.equal([verdict, firstBad, coveredTo?.size], ['violation', null, COVERED]);
    assert.equal(
      findings.map(({ where, kind }) => [where, kind]),
      [['evidence', 'checkpoint']],
    );
  });

  test('the evidence of another log is not taken for this one’s, and is not continued', async () => {
    const [{ log }, { audit }] = [await scene(), await scene()];
    const other = { ...log.store(), lineage: async () => '11111111-0000-4000-8000-000000000000' };
    const { verdict, findings } = await audit.verify(other);
    assert.is(verdict, 'violation');
    assert.ok(findings.every(({ kind }) => kind === 'lineage'));
    assert.match(await rejection(audit.checkpoint(other)), /of another log/);
  });
}

async function rejection(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'nothing was refused',
    (error: unknown) => String(error),
  );
}
