/**
 * Which tables beside the log a backup holds, and why. A table of a migration that stands on neither list fails
 * `test/backup/tables.test.ts`: what cannot be built again from the log must be in a backup.
 */

/** What operators decided and what no log tells: restored row by row. */
export const KEPT_TABLES: Readonly<Record<string, string>> = {
  skipped_events: 'events that read models are to pass over: decisions of operators, with who and why',
  solved_letters: 'which dead letters were solved by whom',
};

/** Left out, with the reason. */
export const LEFT_OUT_TABLES: Readonly<Record<string, string>> = {
  events: 'the log itself: in parts of its own',
  streams: 'follows from the log',
  log_head: 'follows from the log; its lineage stands in the manifest',
  log_restore: 'says that a restore is under way here',
  projections: 'checkpoints of read models, which are rebuilt',
  dead_letters: 'found again when the read models are rebuilt',
  vector_indexes: 'what indexes of vectors were made with, which are rebuilt',
  leases: 'signs of life of running turns',
  snapshots: 'folded states that spare reading',
  slots: 'places held by running turns',
  stream_tickets: 'live for seconds',
  request_counts: 'live for a minute',
  operations: 'a short history of long work; what ran has lost its process',
  knex_migrations: 'made with the tables',
  knex_migrations_lock: 'made with the tables',
};

/** Tables of read models, which are rebuilt: `discussions_v1`. */
export const READ_MODEL_TABLE = /_v\d+$/;
