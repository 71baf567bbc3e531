/** The evidence of the log and the key that signs it, as the settings name them; and the auditor of a process. */
import { join } from 'node:path';
import type { ApiAudit } from '../api/routes/audit.ts';
import { openEvidence } from '../domain/audit/evidence.ts';
import { keyId, originOf, verifierKey } from '../domain/audit/note.ts';
import type { EventStore } from '../domain/ports.ts';
import type { Log, Telemetry } from '../domain/telemetry.ts';
import { loadAuditKey } from '../infra/auditKey.ts';
import type { Settings } from '../infra/config.ts';
import { systemClock } from '../infra/system.ts';
import { runAuditor } from '../workers/auditor.ts';
import { openObjects } from './objects.ts';

/** The folder of the evidence, or the place of AUDIT_STORE. */
export function auditPlace({ AUDIT_STORE, COLLOQUY_DATA }: Settings): string {
  return AUDIT_STORE ?? join(COLLOQUY_DATA, 'audit');
}

/** @throws Refusal `invalid` when place or key cannot be used. */
export async function openAudit(settings: Settings): Promise<ApiAudit> {
  const objects = await openObjects(auditPlace(settings), settings);
  const signer = await loadAuditKey({ dataDir: settings.COLLOQUY_DATA, pem: settings.AUDIT_KEY });
  return { evidence: openEvidence(objects), signer, trusted: signer.trusted };
}

/** Runs the auditor until it is stopped, which writes a last checkpoint. */
export function startAuditor(
  audit: ApiAudit,
  store: EventStore,
  { log, telemetry }: { log: Log; telemetry: Telemetry },
): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const showKey = async () => {
    const origin = originOf(await store.lineage());
    const { publicKey } = audit.signer;
    await audit.evidence.showKey(keyId(origin, publicKey), verifierKey(origin, publicKey));
  };
  showKey().catch((error: unknown) => log.warn({ err: error }, 'the audit key could not be put beside the evidence'));
  const running = runAuditor({ ...audit, store, clock: systemClock, log, telemetry }, stopping.signal);
  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
