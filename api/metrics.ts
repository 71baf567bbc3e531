import type { Telemetry } from '../domain/telemetry.ts';

export interface HttpMetrics {
  /** @param route path template, never a path. @param status number of the answer, or `aborted` when the client left. */
  observe(method: string, route: string, status: string, seconds: number): void;
  authenticationFailed(): void;
  authorizationDenied(action: string): void;
}

/** What the HTTP side counts. */
export function createHttpMetrics(telemetry: Telemetry): HttpMetrics {
  return {
    observe(method, route, status, seconds) {
      telemetry.observe('http_request_duration_seconds', seconds, { method, route, status });
      // A probe that answers 503 tells that the process is not ready, which `service_ready` shows.
      if (Number(status) >= 500 && !route.startsWith('/health/')) telemetry.count('http_server_errors_total');
    },
    authenticationFailed: () => telemetry.count('auth_failures_total'),
    authorizationDenied: (action) => telemetry.count('authz_denied_total', { action }),
  };
}
