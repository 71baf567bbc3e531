/** Whatever single thing is changed in whatever log, it is found. */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import type { StoredRecord } from '../../domain/codec.ts';
import { suite } from '../harness.ts';
import { anAuditing } from './auditedLog.ts';

const test = suite('any change of a log is found');
const LINEAGE = '00000000-0000-4000-8000-000000000000';

/** A log of records as they are given. */
const logOf = (records: readonly StoredRecord[]) => ({
  lineage: async () => LINEAGE,
  async *readStored(after: bigint, { limit = Infinity } = {}) {
    yield* records.filter(({ position }) => position > after).slice(0, limit);
  },
});

const record = fc.record({
  stream: fc.constantFrom('discussion-a', 'discussion-b', 'agent-c'),
  type: fc.constantFrom('MessagePosted', 'TurnRequested'),
  schemaVersion: fc.integer({ min: 1, max: 3 }),
  data: fc.json(),
  metadata: fc.json(),
  gap: fc.integer({ min: 1, max: 9 }),
});

/** Positions with gaps, revisions without. */
function placed(given: readonly (typeof record extends fc.Arbitrary<infer R> ? R : never)[]): StoredRecord[] {
  let position = 0n;
  const revisions = new Map<string, number>();
  return given.map(({ gap, ...each }) => {
    position += BigInt(gap);
    const revision = (revisions.get(each.stream) ?? -1) + 1;
    revisions.set(each.stream, revision);
    return { ...each, id: randomUUID(), revision, position };
  });
}

const CHANGES: Readonly<Record<string, (log: StoredRecord[], i: number, j: number) => StoredRecord[]>> = {
  data: (log, i) => log.map((each, at) => (at === i ? { ...each, data: `${each.data} ` } : each)),
  metadata: (log, i) => log.map((each, at) => (at === i ? { ...each, metadata: '{}{}' } : each)),
  type: (log, i) => log.map((each, at) => (at === i ? { ...each, type: `${each.type}2` } : each)),
  version: (log, i) => log.map((each, at) => (at === i ? { ...each, schemaVersion: 9 } : each)),
  id: (log, i) => log.map((each, at) => (at === i ? { ...each, id: randomUUID() } : each)),
  stream: (log, i) => log.map((each, at) => (at === i ? { ...each, stream: 'discussion-z' } : each)),
  revision: (log, i) => log.map((each, at) => (at === i ? { ...each, revision: each.revision + 1 } : each)),
  position: (log) => log.map((each) => ({ ...each, position: each.position + 1n })),
  delete: (log, i) => log.filter((_, at) => at !== i),
  'delete, positions closed up': (log, i) =>
    renumbered(
      log,
      log.filter((_, at) => at !== i),
    ),
  insert: (log, i) => [{ ...at(log, i), id: randomUUID(), position: at(log, 0).position - 1n }, ...log],
  truncate: (log, i) => log.slice(0, i),
  reorder: (log, i, j) => (i === j ? log.slice(1) : renumbered(log, swapped(log, i, j))),
};

function renumbered(log: readonly StoredRecord[], changed: readonly StoredRecord[]): StoredRecord[] {
  return changed.map((each, i) => ({ ...each, position: at(log, i).position }));
}

function swapped(log: readonly StoredRecord[], i: number, j: number): StoredRecord[] {
  return log.map((each, place) => (place === i ? at(log, j) : place === j ? at(log, i) : each));
}

function at(log: readonly StoredRecord[], index: number): StoredRecord {
  const each = log[index];
  if (each === undefined) throw new Error(`nothing at ${index}`);
  return each;
}

for (const [name, change] of Object.entries(CHANGES))
  test(
    name,
    async () => {
      const scene = fc.tuple(fc.array(record, { minLength: 1, maxLength: 30 }), fc.nat(), fc.nat(), fc.nat(3));
      await fc.assert(
        fc.asyncProperty(scene, async ([given, some, other, young]) => {
          const log = placed(given);
          const coveredLength = Math.max(1, log.length - young);
          const audit = await anAuditing();
          try {
            const [first, second] = [Math.ceil(coveredLength / 2), coveredLength];
            for (const length of new Set([first, second])) await audit.checkpoint(logOf(log.slice(0, length)));
            const right = await audit.verify(logOf(log));
            assert.equal([right.verdict, right.notCovered], ['ok', log.length - coveredLength]);
            const index = some % coveredLength;
            const changed = change(log, index, other % coveredLength);
            const { verdict, firstBad } = await audit.verify(logOf(changed));
            assert.is(verdict, 'violation', JSON.stringify({ given, some, other, young }));
            assert.ok(firstBad !== null && (firstBad.index ?? Infinity) <= index);
          } finally {
            await audit.stop();
          }
        }),
        { numRuns: 15 },
      );
    },
    { deadlineMs: 60_000 },
  );

test.run();
