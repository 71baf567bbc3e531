import type { ApiContext } from './context.ts';
import type { OpenStreams } from './openStreams.ts';
import type { Operations } from './operations.ts';
import type { Route } from './route.ts';
import { agentRoutes } from './routes/agents.ts';
import { discussionRoutes } from './routes/discussions.ts';
import { eventRoutes } from './routes/events.ts';
import { meRoutes } from './routes/me.ts';
import { messageRoutes } from './routes/messages.ts';
import { modelRoutes } from './routes/models.ts';
import { operationRoutes } from './routes/operations.ts';
import { participantRoutes } from './routes/participants.ts';
import { projectionRoutes } from './routes/projections.ts';
import { streamRoutes } from './routes/streams.ts';
import { streamTicketRoutes } from './routes/streamTickets.ts';
import { turnRoutes } from './routes/turns.ts';
import { usageRoutes } from './routes/usage.ts';
import type { StreamTickets } from './streamTickets.ts';

/** Everything under /api/v1. */
export function allRoutes(
  ctx: ApiContext,
  more: { streams: OpenStreams; tickets: StreamTickets; operations: Operations },
): Route[] {
  return [
    ...agentRoutes(ctx),
    ...discussionRoutes(ctx),
    ...participantRoutes(ctx),
    ...messageRoutes(ctx),
    ...turnRoutes(ctx),
    ...usageRoutes(ctx),
    ...eventRoutes(ctx),
    ...streamRoutes(ctx, more.streams),
    ...streamTicketRoutes(more.tickets),
    ...modelRoutes(ctx.library, more.operations),
    ...operationRoutes(more.operations),
    ...projectionRoutes(ctx),
    ...meRoutes(),
  ];
}
