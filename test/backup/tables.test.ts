import * as assert from 'uvu/assert';
import { KEPT_TABLES, LEFT_OUT_TABLES, READ_MODEL_TABLE } from '../../domain/backup/tables.ts';
import { allTables } from '../../infra/postgresBackup.ts';
import { ensureVersions } from '../../projections/checkpoints.ts';
import { readModels } from '../../projections/readModels.ts';
import { suite } from '../harness.ts';
import { newPlace, type Place, withStorage } from './storesForTests.ts';

const test = suite('tables of backups');
let place: Place;
test.before(async () => {
  place = await newPlace('postgres');
});
test.after(() => place.stop());

test(
  'every table of the database is in a backup or left out for a reason',
  async () => {
    await withStorage(place, async ({ database: { knex } }) => {
      await ensureVersions(knex, readModels);
      const tables = (await allTables(knex)).filter((table) => !READ_MODEL_TABLE.test(table));
      assert.equal(tables, [...Object.keys(KEPT_TABLES), ...Object.keys(LEFT_OUT_TABLES)].sort());
      assert.equal(
        Object.keys(KEPT_TABLES).filter((table) => table in LEFT_OUT_TABLES),
        [],
      );
    });
  },
  { deadlineMs: 30_000 },
);

test.run();
