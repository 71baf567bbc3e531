import { Counter, Histogram, type Registry } from 'prom-client';

export interface HttpMetrics {
  /** @param route path template, never a path. @param status number of the answer, or `aborted` when the client left. */
  observe(method: string, route: string, status: string, seconds: number): void;
  authenticationFailed(): void;
  authorizationDenied(action: string): void;
}

/** What the HTTP side counts, in Prometheus' base units. */
export function createHttpMetrics(registry: Registry): HttpMetrics {
  const registers = [registry];
  const durations = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Time from the first byte of a request to the last of its answer; streams are left out',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  });
  const failures = new Counter({ name: 'auth_failures_total', help: 'Requests without a valid token', registers });
  const denials = new Counter({
    name: 'authz_denied_total',
    help: 'Actions that a role did not allow',
    labelNames: ['action'],
    registers,
  });
  return {
    observe: (method, route, status, seconds) => durations.observe({ method, route, status }, seconds),
    authenticationFailed: () => failures.inc(),
    authorizationDenied: (action) => denials.inc({ action }),
  };
}
