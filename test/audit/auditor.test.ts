/** The auditor: when it writes checkpoints, how it goes on after a restart, and that it never covers up a mismatch. */
import * as assert from 'uvu/assert';
import type { EventStore } from '../../domain/ports.ts';
import { type AuditorContext, runAuditor } from '../../workers/auditor.ts';
import { systemClock } from '../../infra/system.ts';
import { suite } from '../harness.ts';
import { createMemoryEventStore } from '../standins/memoryEventStore.ts';
import { type Auditing, anAuditing, fill } from './auditedLog.ts';

const test = suite('auditor');
let audit: Auditing;
test.before.each(async () => void (audit = await anAuditing()));
test.after.each(() => audit.stop());

interface Running {
  readonly gauges: Map<string, number>;
  readonly errors: string[];
  stop(): Promise<void>;
}

function start(store: Pick<EventStore, 'readStored' | 'lineage'>, pace: AuditorContext['pace'] = {}): Running {
  const gauges = new Map<string, number>();
  const errors: string[] = [];
  const stopping = new AbortController();
  const nothing = () => undefined;
  const running = runAuditor(
    {
      ...{ store, evidence: audit.evidence, signer: audit.signer, trusted: [], clock: systemClock },
      pace: { lookMs: 5, longestMs: 60_000, events: 10, batch: 5, ...pace },
      telemetry: { count: nothing, observe: nothing, set: (name, value) => void gauges.set(name, value) },
      log: {
        info: nothing,
        warn: (_, message) => void errors.push(message),
        error: (_, message) => void errors.push(message),
      },
    },
    stopping.signal,
  );
  return {
    gauges,
    errors,
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await holds())) await systemClock.sleep(5);
}

test('a checkpoint is written when enough events wait, and a last one at a clean stop', async () => {
  const store = createMemoryEventStore();
  const auditor = start(store);
  await fill(store, 0, 12);
  await until(async () => (await audit.evidence.sizes()).length > 0);
  await fill(store, 12, 15);
  await auditor.stop();
  assert.is((await audit.evidence.sizes()).at(-1), 15);
  const { verdict, notCovered } = await audit.verify(store);
  assert.equal([verdict, notCovered, auditor.errors], ['ok', 0, []]);
});

test('a few events get theirs after a while, too', async () => {
  const store = createMemoryEventStore();
  await fill(store, 0, 3);
  const auditor = start(store, { longestMs: 20 });
  await until(async () => (await audit.evidence.sizes()).at(-1) === 3);
  await auditor.stop();
  assert.equal([auditor.gauges.get('audit_mismatch'), auditor.gauges.get('audit_checkpoint_age_seconds')], [0, 0]);
});

test('goes on where the evidence ends, and two at once write one evidence', async () => {
  const store = createMemoryEventStore();
  await fill(store, 0, 30);
  await audit.checkpoint(store);
  await fill(store, 30, 50);
  const both = [start(store), start(store)];
  await fill(store, 50, 75);
  await until(async () => ((await audit.evidence.sizes()).at(-1) ?? 0) >= 60);
  await Promise.all(both.map((each) => each.stop()));
  const { verdict, coveredTo } = await audit.verify(store);
  assert.equal([verdict, coveredTo?.size], ['ok', 75]);
  assert.equal(
    both.flatMap(({ errors }) => errors),
    [],
  );
});

test('a log that is not what was covered gets no checkpoint any more, and this is told', async () => {
  const store = createMemoryEventStore();
  await fill(store, 0, 20);
  await audit.checkpoint(store);
  const [other, cut] = [createMemoryEventStore(), createMemoryEventStore()];
  await fill(other, 0, 40, 'another history');
  await fill(cut, 0, 5);
  // The second has nothing new: what is gone must be noticed all the same.
  for (const changed of [other, cut]) {
    const auditor = start(changed);
    await until(() => auditor.gauges.get('audit_mismatch') === 1);
    await auditor.stop();
    assert.match(auditor.errors.join(), /does not fit its evidence/);
  }
  assert.equal(await audit.evidence.sizes(), [20]);
});

test.run();
