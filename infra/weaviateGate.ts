export interface WeaviateGate {
  /** Waits for a place, in order of arrival. Rejects with the signal's reason. @returns what gives the place back. */
  enter(signal: AbortSignal): Promise<() => void>;
}

/** Lets so many in at once: Weaviate's own client would open a socket for every call (W19). */
export function createWeaviateGate(places: number): WeaviateGate {
  let free = places;
  const queue = new Set<() => void>();
  const leave = (): void => {
    const [next] = queue;
    if (next === undefined) free += 1;
    else next();
  };
  return {
    async enter(signal) {
      signal.throwIfAborted();
      if (free > 0) free -= 1;
      else
        await new Promise<void>((resolve, reject) => {
          const turn = (): void => {
            queue.delete(turn);
            signal.removeEventListener('abort', giveUp);
            resolve();
          };
          const giveUp = (): void => {
            queue.delete(turn);
            reject(signal.reason as Error);
          };
          signal.addEventListener('abort', giveUp, { once: true });
          queue.add(turn);
        });
      return leave;
    },
  };
}
