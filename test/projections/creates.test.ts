/** What `creates` promises: rebuilds take such rows for new, and insert them. */
import * as assert from 'uvu/assert';
import type { RecordedEvent } from '../../domain/envelope.ts';
import { allProjections } from '../../projections/allProjections.ts';
import { createRowFold, knownEvent } from '../../projections/fold.ts';
import { suite } from '../harness.ts';
import { history } from './events.ts';

const test = suite('rows that an event makes');

test('are not there before, whatever happened', () => {
  for (const seed of [11, 12, 13]) {
    let position = 0n;
    const revisions = new Map<string, number>();
    const events: RecordedEvent[] = [];
    for (const { stream, events: batch } of history({ seed, discussions: 20, batches: 1_500 }))
      for (const event of batch) {
        const revision = (revisions.get(stream) ?? -1) + 1;
        revisions.set(stream, revision);
        events.push({ ...event, stream, revision, position: (position += 1n) });
      }
    for (const projection of allProjections) {
      const fold = createRowFold(projection);
      for (const recorded of events) {
        const event = knownEvent(recorded);
        assert.ok(event);
        for (const table of projection.tables.filter(({ creates }) => creates?.includes(event.type)))
          for (const key of table.keysOf(event))
            assert.not(fold.tables.get(table.name)?.has(key), `${event.type} finds ${key} in ${table.name}`);
        fold.add(recorded);
      }
    }
  }
});

test.run();
