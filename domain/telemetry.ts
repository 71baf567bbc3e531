interface Metric {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  readonly help: string;
  /** Upper bounds of a histogram in seconds, where the usual ones do not fit. */
  readonly buckets?: readonly number[];
  /** Label sets shown from the start: the first of what only appears when it happens would be no increase to an alert. */
  readonly zero?: readonly Readonly<Record<string, string>>[];
}

/** What is measured, declared as a table: name, kind, labels and help. Base units, Prometheus names. */
export const metrics = {
  // First, for they are read in this order: what other gauges ask of the database must not count.
  db_pool_connections: {
    kind: 'gauge',
    labels: ['database', 'state'],
    help: 'Connections of this process to PostgreSQL, idle and active',
  },
  db_pool_waiting: { kind: 'gauge', labels: ['database'], help: 'Statements that wait for a connection' },
  http_request_duration_seconds: {
    kind: 'histogram',
    labels: ['method', 'route', 'status'],
    help: 'Time from the first byte of a request to the last of its answer; streams are left out',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  },
  http_server_errors_total: { kind: 'counter', labels: [], help: 'Answers of 500 and above, probes left out' },
  auth_failures_total: { kind: 'counter', labels: [], help: 'Requests without a valid token' },
  authz_denied_total: { kind: 'counter', labels: ['action'], help: 'Actions that a role did not allow' },
  service_ready: { kind: 'gauge', labels: [], help: '1 while /health/ready answers 200, else 0' },
  turns_open: {
    kind: 'gauge',
    labels: [],
    help: 'Turns that wait for a model or are with one, paused discussions left out',
  },
  turn_oldest_open_seconds: {
    kind: 'gauge',
    labels: [],
    help: 'Age of the oldest of these turns, 0 when there is none',
  },
  dead_letters: {
    kind: 'gauge',
    labels: [],
    help: 'Streams parked because a read model cannot take an event of theirs',
  },
  dead_letter_oldest_seconds: { kind: 'gauge', labels: [], help: 'Age of the oldest of these, 0 when there is none' },
  audit_checkpoint_age_seconds: {
    kind: 'gauge',
    labels: [],
    help: 'How long the oldest event that no signed checkpoint covers has waited for one; shown by auditors',
  },
  audit_mismatch: { kind: 'gauge', labels: [], help: '1 when the log is not what its signed checkpoints say, else 0' },
  backup_age_seconds: { kind: 'gauge', labels: [], help: 'Age of the newest backup; shown where backups are made' },
  wakeup_to_claim_seconds: { kind: 'histogram', labels: [], help: 'Time from a turn being requested to its claim' },
  sweeper_recovered_total: {
    kind: 'counter',
    labels: ['kind'],
    help: 'Open work that no wake-up had reached; rises only when the wake path is broken',
    zero: [{ kind: 'turn' }],
  },
  turns_running: { kind: 'gauge', labels: [], help: 'Attempts under way in this process' },
  turn_attempts_total: { kind: 'counter', labels: ['provider', 'outcome'], help: 'Attempts that ended, by how' },
  model_circuit_open: {
    kind: 'gauge',
    labels: ['provider'],
    help: '1 while a provider that failed again and again is left alone, 0 while it is asked',
  },
  model_places_waiting_total: {
    kind: 'counter',
    labels: ['provider'],
    help: 'Turns passed over because their model had no place free; one that waits is counted at each look',
  },
  recall_total: {
    kind: 'counter',
    labels: ['outcome'],
    help: 'Turns of agents with a memory, by what it gave: found, nothing, or none because it was late or unavailable',
    zero: [{ outcome: 'found' }, { outcome: 'nothing' }, { outcome: 'late' }, { outcome: 'unavailable' }],
  },
  turn_takeovers_total: {
    kind: 'counter',
    labels: [],
    help: 'Attempts taken over from workers that gave no sign of life',
  },
  turn_fenced_total: {
    kind: 'counter',
    labels: [],
    help: 'Late results refused because the turn was no longer theirs',
  },
  gen_ai_client_token_usage_total: { kind: 'counter', labels: ['provider', 'direction'], help: 'Tokens used' },
  gen_ai_client_operation_duration_seconds: { kind: 'histogram', labels: ['provider'], help: 'Time of a model call' },
  gen_ai_client_time_to_first_chunk_seconds: {
    kind: 'histogram',
    labels: ['provider'],
    help: 'Time to the first piece of an answer',
  },
  sse_clients: { kind: 'gauge', labels: [], help: 'Open event streams' },
  sse_dropped_total: {
    kind: 'counter',
    labels: ['what'],
    help: 'Deltas not sent to, and connections cut off from, readers that were too slow',
    zero: [{ what: 'delta' }, { what: 'connection' }],
  },
  db_query_duration_seconds: { kind: 'histogram', labels: [], help: 'Time of a statement, without its wait' },
  db_slow_queries_total: { kind: 'counter', labels: [], help: 'Statements that took longer than DATABASE_SLOW_MS' },
  eventlog_append_duration_seconds: {
    kind: 'histogram',
    labels: ['outcome'],
    help: 'Time of one try to append: ok, conflict, refused or unknown',
    zero: [{ outcome: 'ok' }, { outcome: 'conflict' }, { outcome: 'refused' }, { outcome: 'unknown' }],
  },
  projection_lag_seconds: {
    kind: 'gauge',
    labels: ['projection'],
    help: 'Age of the oldest event that a read model has not applied, 0 when it has applied all',
  },
  projection_lag_events: {
    kind: 'gauge',
    labels: ['projection'],
    help: 'Events that a read model has not applied; only for logs whose positions have no gaps',
  },
  subscription_last_event_age_seconds: {
    kind: 'gauge',
    labels: ['subscription'],
    help: 'Age of the last event of a subscription when it came',
  },
} as const satisfies Record<string, Metric>;
export type MetricName = keyof typeof metrics;

/** The table as rows. */
export function eachMetric(): readonly (Metric & { readonly name: MetricName })[] {
  const rows: [string, Metric][] = Object.entries(metrics);
  return rows.map(([name, metric]) => ({ name: name as MetricName, ...metric }));
}

/** From half a millisecond to five minutes: appends and model calls share the scale. */
export const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** Where measurements go. Never throws. */
export interface Telemetry {
  /** Adds to a counter. */
  count(name: MetricName, labels?: Record<string, string>, by?: number): void;
  /** Sets a gauge. */
  set(name: MetricName, value: number, labels?: Record<string, string>): void;
  /** Seconds into a histogram. */
  observe(name: MetricName, seconds: number, labels?: Record<string, string>): void;
}

/** A line for operators: what happened, with fields. Never a secret, never what was said. */
export interface Log {
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  error(fields: Record<string, unknown>, message: string): void;
}
