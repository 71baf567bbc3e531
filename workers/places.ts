import type { WorkerContext } from './worker.ts';

/** Why a turn is not claimed: its model is `full`, or nobody could tell. */
export type NoPlace =
  { readonly kind: 'full'; readonly model: string } | { readonly kind: 'snooze'; readonly afterMs: number };

/** The places at limited models that this process holds: one for each attempt, from before its claim to its end. */
export interface Places {
  /** Takes what the limits ask for; null when the turn may be claimed. Never rejects. */
  take(turnId: string, model: { provider: string; name: string }): Promise<NoPlace | null>;
  /** @returns whether there was something to give back. Never rejects: what could not be given back runs out by itself. */
  free(turnId: string): Promise<boolean>;
  /** Renews all that are held, several times within their time. */
  renew(): Promise<void>;
}

/** The pause when it cannot be found out whether there is a place. */
const UNKNOWN_MS = 1_000;

/** Without limits none of it asks the database anything. */
export function createPlaces(
  ctx: Pick<WorkerContext, 'slots' | 'settings' | 'incarnation' | 'telemetry' | 'log'>,
): Places {
  const { limits, leaseMs } = ctx.settings;
  const held = new Set<string>();
  return {
    async take(turnId, { provider, name }) {
      const wanted = [provider, `${provider}/${name}`].flatMap((each) => {
        const limit = limits.get(each);
        return limit === undefined ? [] : [{ name: each, limit }];
      });
      if (wanted.length === 0) return null;
      // A claim that met others may ask for another model than before: its first place has to be given back too.
      const hadPlaces = held.has(turnId);
      // Before it is known: an answer that was lost may have been a yes.
      held.add(turnId);
      try {
        if (await ctx.slots.take(holderOf(turnId, ctx.incarnation), wanted, leaseMs)) return null;
        if (!hadPlaces) held.delete(turnId);
        ctx.telemetry.count('model_places_waiting_total', { provider });
        return { kind: 'full', model: `${provider}/${name}` };
      } catch (error) {
        ctx.log.warn({ err: error, turnId }, 'no place at a model could be taken: trying again');
        return { kind: 'snooze', afterMs: UNKNOWN_MS };
      }
    },
    async free(turnId) {
      if (!held.delete(turnId)) return false;
      try {
        await ctx.slots.free([holderOf(turnId, ctx.incarnation)]);
      } catch (error) {
        ctx.log.warn({ err: error, turnId }, 'a place at a model could not be given back: it runs out');
      }
      return true;
    },
    async renew() {
      if (held.size > 0) await ctx.slots.renew([...held].map((turnId) => holderOf(turnId, ctx.incarnation)));
    },
  };
}

/**
 * Who holds a place: one incarnation's attempt at a turn. By the turn alone, whoever came too late for the claim, and a
 * worker that wakes after its turn was taken over, would give back the place of the one that runs.
 */
export function holderOf(turnId: string, incarnation: string): string {
  return `${turnId}/${incarnation}`;
}
