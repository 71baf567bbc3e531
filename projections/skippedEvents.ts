import type { Knex } from 'knex';

const QUERY_MS = 20_000;

/** Has an event passed over from now on, as its letter knows it; says who decided it, and why. */
export async function skipLetter(
  trx: Knex,
  { id }: { readonly id: string },
  { reason, by }: { readonly reason: string; readonly by: string },
): Promise<void> {
  await trx.raw(
    `insert into skipped_events (id, projection, event_id, version, stream, position, type, error, attempts, first_at,
       reason, skipped_by)
     select id, projection, event_id, version, stream, position, type, error, attempts, first_at, ?, ?
     from dead_letters where id = ? on conflict (projection, event_id) do nothing`,
    [reason, by, id],
  );
}

/** Ids of the events that operators had passed over, by read model, for all that are named. */
export async function skippedEvents(knex: Knex, names: readonly string[]): Promise<Map<string, Set<string>>> {
  const result = await knex
    .raw<{ rows: { projection: string; id: string }[] }>(
      'select projection, event_id as id from skipped_events where projection = any(?::text[])',
      [[...names]],
    )
    .timeout(QUERY_MS);
  const skipped = new Map<string, Set<string>>();
  for (const { projection, id } of result.rows) skipped.set(projection, (skipped.get(projection) ?? new Set()).add(id));
  return skipped;
}

/** Ids of the events that a read model passes over, in whatever version: a fold or rebuild does so, too. */
export async function skippedOf(knex: Knex, projection: string): Promise<ReadonlySet<string>> {
  return (await skippedEvents(knex, [projection])).get(projection) ?? new Set();
}
