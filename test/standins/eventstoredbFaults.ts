/** What the EventStoreDB stand-in can be told to do wrong: one fault at a time. */

/**
 * - `mute`: every call is accepted and never answered, and open subscriptions fall silent; nothing is written.
 * - `resetAfterCommit`: an append, delete or tombstone is written, then all connections are cut before the answer.
 * - `halfClose`: a batch stream is ended by the server after the append was written, without its answer.
 * - `late`: appends, deletes and tombstones are written at once and answered `delayMs` (2,000) later.
 * - `notReady`: as a node that is starting: UNAVAILABLE, in a batch an error message; its gossip says initializing.
 * - `notLeader`: calls that require the leader are refused with the `leader`'s address, the others are served, as a
 *   follower does that forwards them; its gossip says so.
 * - `slowSubscription`: `delayMs` (200) before each event sent to a subscription, which so falls behind.
 * - `stopped`: the listener is closed and all connections are dropped; after `clear` it listens on the same port.
 */
export type EventStoreFaultName =
  'mute' | 'resetAfterCommit' | 'halfClose' | 'late' | 'notReady' | 'notLeader' | 'slowSubscription' | 'stopped';

export interface EventStoreFaultOptions {
  readonly delayMs?: number;
  readonly leader?: { readonly host: string; readonly port: number };
  /** How many calls it concerns before it ends by itself; until `clear` unless told. */
  readonly times?: number;
}

export interface EventStoreFaults {
  /** Replaces the fault before it; resolves when it is in force. */
  set(name: EventStoreFaultName, options?: EventStoreFaultOptions): Promise<void>;
  /** Well again; rejects when the port of a stopped server was taken meanwhile. */
  clear(): Promise<void>;
}

export interface FaultSwitch extends EventStoreFaults {
  /** The fault's options while it is in force, else null. */
  on(name: EventStoreFaultName): EventStoreFaultOptions | null;
  /** As `on`, and counts one of its `times`. */
  use(name: EventStoreFaultName): EventStoreFaultOptions | null;
  /** Called after every change; returns what takes the listener away. */
  onChange(listener: () => void): () => void;
}

/** The switch; `stop` and `start` close and open the listener for `stopped`. */
export function createFaultSwitch(listening: { start(): Promise<void>; stop(): Promise<void> }): FaultSwitch {
  let current: { name: EventStoreFaultName; options: EventStoreFaultOptions; left: number } | null = null;
  const listeners = new Set<() => void>();
  const change = async (to: typeof current): Promise<void> => {
    const before = current?.name;
    current = to;
    for (const listener of [...listeners]) listener();
    if (to?.name === 'stopped') await listening.stop();
    else if (before === 'stopped') await listening.start();
  };
  const on: FaultSwitch['on'] = (name) => (current?.name === name ? current.options : null);
  const use: FaultSwitch['use'] = (name) => {
    const options = on(name);
    if (!options || !current) return null;
    current.left -= 1;
    if (current.left <= 0) void change(null);
    return options;
  };
  return {
    set: async (name, options = {}) => await change({ name, options, left: options.times ?? Infinity }),
    clear: async () => await change(null),
    on,
    use,
    onChange: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
