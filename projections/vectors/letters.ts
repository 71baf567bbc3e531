/** Letters about events whose texts could not be embedded: nothing waits behind them, so each is settled alone. */
import type { Knex } from 'knex';
import type { EventStore } from '../../domain/ports.ts';
import { Refusal } from '../../domain/refusal.ts';
import type { DeadLetter } from '../deadLetters.ts';
import type { Decision } from '../deadLettersSettle.ts';
import { embeddings, ledger, type LedgerRow } from '../embeddings.ts';
import { embedPassages } from './embedPassages.ts';
import { passagesFromLog } from './ledger.ts';
import { skipLetter } from '../skippedEvents.ts';
import { decodeRow, selectList, tableName } from '../tables.ts';
import { auditIndex, putUntilFound } from './audit.ts';
import { auditFrom, placeOf } from './indexes.ts';
import { openVersion, type MeaningParts } from './versions.ts';

export interface UnplacedOptions {
  readonly knex: Knex;
  readonly store: EventStore;
  readonly meaning?: MeaningParts | undefined;
}

const QUERY_MS = 20_000;

/** Whether nothing waits behind the letter. */
export async function isUnplaced(knex: Knex, { id }: Pick<DeadLetter, 'id'>): Promise<boolean> {
  return (await knex('dead_letters').where({ id, parks: false }).first('id').timeout(QUERY_MS)) !== undefined;
}

/** Embeds the event's texts again, or passes over them for good. @returns whether the letter is gone. @throws Refusal `unavailable`. */
export async function settleUnplaced(
  options: UnplacedOptions,
  letter: DeadLetter,
  decision: Decision,
  signal: AbortSignal,
): Promise<boolean> {
  const { knex } = options;
  const error = decision.kind === 'retry' ? await placeAgain(options, letter, signal) : null;
  if (error !== null) {
    await knex('dead_letters')
      .where({ id: letter.id })
      .update({ error, attempts: knex.raw('attempts + 1'), last_at: knex.raw('now()') });
    return false;
  }
  await knex.transaction(async (trx) => {
    const { projection: name, version, eventId } = letter;
    await trx.raw('select from projections where name = ? and version = ? for update', [name, version]);
    if (decision.kind === 'skip') {
      await skipLetter(trx, letter, decision);
      await trx.raw(`delete from ${tableName(ledger, version)} where event_id = ?`, [eventId]);
    } else await trx('solved_letters').insert({ id: letter.id, solved_by: decision.by }).onConflict('id').ignore();
    await trx('dead_letters').where({ id: letter.id }).delete();
    // Runners load anew which events they pass over.
    await trx('projections').where({ name, version }).increment('epoch', 1);
  });
  return true;
}

/** @returns why it cannot be embedded; null when it is stored. */
async function placeAgain(
  { knex, store, meaning }: UnplacedOptions,
  letter: DeadLetter,
  signal: AbortSignal,
): Promise<string | null> {
  const { version, eventId, projection } = letter;
  if (meaning === undefined || projection !== embeddings.name)
    throw new Refusal('unavailable', 'nothing here embeds texts: retry it on the service', { retryable: false });
  const { rows } = await knex
    .raw<{ rows: Record<string, unknown>[] }>(
      `select ${selectList(ledger)} from ${tableName(ledger, version)} where event_id = ?`,
      [eventId],
    )
    .timeout(QUERY_MS);
  const wanted = rows.map((raw): LedgerRow => decodeRow(ledger, raw));
  const place = await placeOf(knex, version);
  const opened = await openVersion({ ...meaning, knex, store }, version, { place, signal });
  if (opened.gone)
    throw new Refusal('conflict', 'the vectors are gone from their store: all are embedded again', { retryable: true });
  const { objects, failed } = await embedPassages(opened.embedder, await passagesFromLog(opened, wanted), signal);
  if (failed[0] !== undefined) return failed[0].error;
  await auditFrom(knex, version, BigInt(letter.position));
  await putUntilFound(opened, objects, signal);
  return null;
}

/** Embeds what a parked stream had waiting, once its events were applied: the ledger says what the index lacks. */
export async function embedBehind(
  { knex, store, meaning }: UnplacedOptions,
  { version, position }: Pick<DeadLetter, 'version' | 'position'>,
  signal: AbortSignal,
): Promise<void> {
  if (meaning === undefined) return;
  const to = await placeOf(knex, version);
  const opened = await openVersion({ ...meaning, knex, store }, version, { place: to, signal });
  if (opened.gone) return;
  await auditIndex(opened, { version, after: BigInt(position) - 1n, to, repair: true, signal });
}
