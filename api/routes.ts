import type { Backups } from '../domain/backup/backups.ts';
import type { ApiContext } from './context.ts';
import type { OpenStreams } from './openStreams.ts';
import type { ProjectionControl } from './projectionControl.ts';
import type { Operations } from './operations.ts';
import type { Route } from './route.ts';
import { agentRoutes } from './routes/agents.ts';
import { backupRoutes } from './routes/backups.ts';
import { type ApiAudit, auditRoutes } from './routes/audit.ts';
import { deadLetterRoutes } from './routes/deadLetters.ts';
import { discussionRoutes } from './routes/discussions.ts';
import { eventRoutes } from './routes/events.ts';
import { exportRoutes } from './routes/exports.ts';
import { forkRoutes } from './routes/forks.ts';
import { meRoutes } from './routes/me.ts';
import { messageRoutes } from './routes/messages.ts';
import { modelRoutes } from './routes/models.ts';
import { openTurnRoutes } from './routes/openTurns.ts';
import { operationRoutes } from './routes/operations.ts';
import { participantRoutes } from './routes/participants.ts';
import { projectionRoutes } from './routes/projections.ts';
import { promptRoutes } from './routes/prompts.ts';
import { replayRoutes } from './routes/replays.ts';
import { searchRoutes } from './routes/search.ts';
import { statusRoutes } from './routes/status.ts';
import { streamRoutes } from './routes/streams.ts';
import { streamTicketRoutes } from './routes/streamTickets.ts';
import { traceRoutes } from './routes/trace.ts';
import { turnRoutes } from './routes/turns.ts';
import { usageRoutes } from './routes/usage.ts';
import type { StreamTickets } from './streamTickets.ts';

/** Everything under /api/v1. */
export function allRoutes(
  ctx: ApiContext,
  more: {
    streams: OpenStreams;
    tickets: StreamTickets;
    operations: Operations;
    audit: ApiAudit;
    backups?: Backups | null;
    projections?: ProjectionControl;
  },
): Route[] {
  return [
    ...agentRoutes(ctx),
    ...discussionRoutes(ctx),
    ...forkRoutes(ctx),
    ...participantRoutes(ctx),
    ...messageRoutes(ctx),
    ...turnRoutes(ctx),
    ...promptRoutes(ctx),
    ...usageRoutes(ctx),
    ...searchRoutes(ctx),
    ...eventRoutes(ctx),
    ...streamRoutes(ctx, more.streams),
    ...replayRoutes(ctx, more.streams),
    ...streamTicketRoutes(more.tickets),
    ...modelRoutes(ctx.library, more.operations),
    ...operationRoutes(more.operations),
    ...backupRoutes(more.backups ?? null, more.operations),
    ...(more.projections === undefined ? [] : projectionRoutes(more.projections)),
    ...deadLetterRoutes(ctx),
    ...openTurnRoutes(ctx),
    ...statusRoutes(ctx, more.operations),
    ...traceRoutes(ctx),
    ...auditRoutes(ctx, more.audit, more.operations),
    ...exportRoutes(ctx, more.audit),
    ...meRoutes(),
  ];
}
