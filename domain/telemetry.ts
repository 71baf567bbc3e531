/** What is measured, declared as a table: name, kind, labels and help. Base units, Prometheus names. */
export const metrics = {
  wakeup_to_claim_seconds: { kind: 'histogram', labels: [], help: 'Time from a turn being requested to its claim' },
  sweeper_recovered_total: {
    kind: 'counter',
    labels: ['kind'],
    help: 'Open work that no wake-up had reached; rises only when the wake path is broken',
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
  },
  db_pool_connections: {
    kind: 'gauge',
    labels: ['database', 'state'],
    help: 'Connections of this process to PostgreSQL, idle and active',
  },
  db_pool_waiting: { kind: 'gauge', labels: ['database'], help: 'Statements that wait for a connection' },
  db_query_duration_seconds: { kind: 'histogram', labels: [], help: 'Time of a statement, without its wait' },
  db_slow_queries_total: { kind: 'counter', labels: [], help: 'Statements that took longer than DATABASE_SLOW_MS' },
  eventlog_append_duration_seconds: {
    kind: 'histogram',
    labels: ['outcome'],
    help: 'Time of one try to append: ok, conflict, refused or unknown',
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
} as const satisfies Record<
  string,
  { kind: 'counter' | 'gauge' | 'histogram'; labels: readonly string[]; help: string }
>;
export type MetricName = keyof typeof metrics;

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
