/** What every adapter of the OperationRecords port answers. */
import { randomUUID } from 'node:crypto';
import * as assert from 'uvu/assert';
import type { Progress } from '../../domain/operation.ts';
import type { OperationRecords } from '../../domain/ports.ts';
import { suite } from '../harness.ts';

interface Made {
  readonly records: OperationRecords;
  /** The same operations as another process has them. */
  readonly elsewhere: OperationRecords;
  /** As if nothing had been heard of an operation for so long. */
  silence(id: string, ms: number): Promise<void>;
  stop(): Promise<void>;
}

const LIMITS = { running: 4, kept: 500 };
const half: Progress = { done: 5, total: 10, rate: 2, etaSeconds: 3, note: 'é' };
const nothing: Progress = { done: 0, total: 0, rate: 0, etaSeconds: null, note: '' };

/** Registers and runs the suite; `make` gives a place without operations. */
export function operationRecordsContract(name: string, make: () => Promise<Made>): void {
  const test = suite(name);
  let made: Made;
  test.before(async () => void (made = await make()));
  test.after(async () => await made.stop());

  test('another process sees what runs, how far it is, and how it ended', async () => {
    const { records, elsewhere } = made;
    const id = randomUUID();
    const begun = await records.begin(id, 'model-pull', LIMITS);
    assert.equal([begun?.status, begun?.kind, begun?.progress, begun?.error], ['running', 'model-pull', nothing, null]);
    assert.ok(Math.abs(Date.parse(begun?.startedAt ?? '') - Date.now()) < 10_000);
    assert.equal(await elsewhere.get(id), begun);
    assert.ok(await records.alive(id, half));
    assert.equal(await elsewhere.get(id), { ...begun, progress: half });
    assert.equal(await elsewhere.running(), [{ ...begun, progress: half }]);
    await records.end(id, { status: 'succeeded', progress: half, result: { name: 'm' }, error: null });
    const ended = await elsewhere.get(id);
    assert.equal(ended, { ...begun, progress: half, status: 'succeeded', result: { name: 'm' } });
    await elsewhere.end(id, { status: 'failed', progress: nothing, result: null, error: { code: 'x', detail: 'y' } });
    assert.equal(await records.get(id), ended, 'what has ended stays as it is');
    assert.not.ok(await records.alive(id, nothing));
    assert.equal(await records.running(), []);
    assert.is(await records.get(randomUUID()), null);
  });

  test('whoever runs it learns that it shall stop', async () => {
    const { records, elsewhere } = made;
    const id = randomUUID();
    await records.begin(id, 'work', LIMITS);
    assert.is((await elsewhere.cancel(id))?.status, 'running');
    assert.not.ok(await records.alive(id, half));
    await records.end(id, { status: 'cancelled', progress: half, result: null, error: null });
    assert.is((await elsewhere.cancel(id))?.status, 'cancelled');
    assert.is(await elsewhere.cancel(randomUUID()), null);
  });

  test('work without a sign of life reads as failed, frees its place, and may come back', async () => {
    const { records, elsewhere } = made;
    const id = randomUUID();
    await records.begin(id, 'work', { ...LIMITS, running: 1 });
    await made.silence(id, 29_000);
    assert.is((await elsewhere.get(id))?.status, 'running');
    assert.is(await elsewhere.begin(randomUUID(), 'work', { ...LIMITS, running: 1 }), null);
    await made.silence(id, 31_000);
    const lost = await elsewhere.get(id);
    assert.equal([lost?.status, lost?.error?.code], ['failed', 'unavailable']);
    assert.ok(await elsewhere.begin(randomUUID(), 'work', { ...LIMITS, running: 1 }));
    assert.ok(await records.alive(id, half));
    assert.equal([(await elsewhere.get(id))?.status, (await elsewhere.get(id))?.error], ['running', null]);
  });

  test('forgets the oldest that have ended, never what runs', async () => {
    const { records } = made;
    const ids = Array.from({ length: 6 }, () => randomUUID());
    for (const [i, id] of ids.entries()) {
      await records.begin(id, 'work', { running: 4, kept: 3 });
      const outcome = { status: 'succeeded', progress: half, result: null, error: null } as const;
      if (i > 0) await records.end(id, outcome);
    }
    const there = await Promise.all(ids.map(async (id) => (await records.get(id))?.status ?? null));
    assert.equal(there, ['running', null, null, 'succeeded', 'succeeded', 'succeeded']);
  });
  test.run();
}
