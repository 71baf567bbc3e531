import * as assert from 'uvu/assert';
import { backupId, type BackupSummary, BACKUP_ID } from '../../domain/backup/manifest.ts';
import { type Keep, prunable } from '../../domain/backup/retention.ts';
import { everyMs } from '../../scripts/backupSchedule.ts';
import { suite } from '../harness.ts';

const test = suite('which backups are kept');
const DAY_MS = 86_400_000;
const NOW = Date.parse('2025-03-01T00:00:00Z');

/** One for each age in days. */
const backups = (ages: readonly number[], broken: readonly number[] = []): BackupSummary[] =>
  ages.map((age) => ({
    id: String(age),
    madeAt: new Date(NOW - age * DAY_MS).toISOString(),
    program: '0.1.0',
    lineage: '',
    events: 1,
    head: '1',
    sizeBytes: 1,
    whole: !broken.includes(age),
  }));
const going = (all: readonly BackupSummary[], keep: Keep) => prunable(all, keep, NOW).map(({ id }) => Number(id));

test('by count, by age, and with both a backup goes when both let it go', () => {
  const all = backups([40, 30, 20, 10, 1]);
  assert.equal(going(all, {}), []);
  assert.equal(going(all, { count: 2 }), [20, 30, 40]);
  assert.equal(going(all, { days: 25 }), [30, 40]);
  assert.equal(going(all, { count: 2, days: 25 }), [30, 40]);
  assert.equal(going(all, { count: 4, days: 5 }), [40]);
});

test('the newest whole one always stays, and broken ones do not count', () => {
  assert.equal(going(backups([400]), { days: 1 }), []);
  assert.equal(going(backups([400, 300]), { days: 1 }), [400]);
  assert.equal(going(backups([30, 20, 10], [10, 20]), { count: 1, days: 1 }), []);
  assert.equal(going(backups([30, 20, 10], [20]), { count: 2 }), [20]);
  assert.equal(going(backups([30, 20, 10], [10, 20, 30]), { count: 1 }), [], 'none is good: nothing goes');
});

test('ids sort by time, intervals are read', () => {
  const ids = [backupId(NOW, 'ffffffff0'), backupId(NOW + 1000, '000000000')];
  assert.equal([...ids].sort(), ids);
  for (const id of ids) assert.match(id, BACKUP_ID);
  assert.equal(['30m', '24h', '7d'].map(everyMs), [1_800_000, DAY_MS, 7 * DAY_MS]);
});

test.run();
