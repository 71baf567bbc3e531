import { ModelFailure } from '../../domain/model.ts';
import { createScriptedModel, type ScriptedModel } from './scriptedModel.ts';

/** A scripted model whose calls wait to be let through, and which counts how many there are at once. */
export interface GatedModel extends ScriptedModel {
  /** Lets calls of a model through that wait now, the oldest first; all that ever come unless told how many. */
  open(name: string, calls?: number): void;
  /** Calls of a model that wait now. */
  waiting(name: string): number;
  /** Most calls of a model that were there at once. */
  most(name: string): number;
}

/** Every gate is shut at first. A call that is stopped while it waits fails as the port says. */
export function createGatedModel(): GatedModel {
  const inner = createScriptedModel();
  const gates = new Map<string, Gate>();
  const gateOf = (name: string) => {
    const gate = gates.get(name) ?? { queue: [], open: false, now: 0, most: 0 };
    gates.set(name, gate);
    return gate;
  };
  return {
    ...inner,
    open(name, calls) {
      const gate = gateOf(name);
      gate.open = calls === undefined;
      for (const pass of gate.queue.splice(0, calls ?? gate.queue.length)) pass();
    },
    waiting: (name) => gateOf(name).queue.length,
    most: (name) => gateOf(name).most,
    async *generate(request, options) {
      const gate = gateOf(request.model);
      gate.now += 1;
      gate.most = Math.max(gate.most, gate.now);
      try {
        await pass(gate, options.signal);
        yield* inner.generate(request, options);
      } finally {
        gate.now -= 1;
      }
    },
  };
}

interface Gate {
  readonly queue: (() => void)[];
  open: boolean;
  now: number;
  most: number;
}

async function pass(gate: Gate, signal: AbortSignal): Promise<void> {
  if (!gate.open)
    await new Promise<void>((resolve) => {
      gate.queue.push(resolve);
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  if (!signal.aborted) return;
  const usage = { inputTokens: 0, outputTokens: 0, source: 'reported' as const };
  throw new ModelFailure('cancelled', 'the call was cancelled', { retryable: false, usage });
}
