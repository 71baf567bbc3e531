/** An index like a Weaviate that was killed: it keeps objects, and does not find some of them any more, whatever is put again. */
import type { VectorIndex } from '../../domain/meaning/vectorIndex.ts';

export interface ForgetfulIndex extends VectorIndex {
  /** Killed and started again: what `loses` says is not found any more, until it is removed and put again. */
  restart(loses: (passageId: string) => boolean): void;
  /** Called when objects are stored, before their put is confirmed. */
  onPut: (passageIds: readonly string[]) => void;
  incarnationNow(): string;
  /** Objects that are stored and not found. */
  lost(): number;
}

/** @param inner where objects really are. */
export function forgetful(inner: VectorIndex): ForgetfulIndex {
  const known = new Map<number, Set<string>>();
  const lost = new Map<number, Set<string>>();
  const watching = new Set<() => void>();
  let starts = 1;
  const at = (sets: Map<number, Set<string>>, version: number): Set<string> => {
    const set = sets.get(version) ?? new Set();
    sets.set(version, set);
    return set;
  };
  const own: ForgetfulIndex = {
    ...inner,
    onPut: () => undefined,
    lost: () => [...lost.values()].reduce((sum, { size }) => sum + size, 0),
    restart(loses) {
      for (const [version, ids] of known) for (const id of ids) if (loses(id)) at(lost, version).add(id);
      starts += 1;
      for (const tell of watching) tell();
    },
    async put(version, objects) {
      const ids = objects.map(({ passage }) => passage.passageId);
      await inner.put(version, objects);
      for (const id of ids) at(known, version).add(id);
      own.onPut(ids);
    },
    async remove(version, ids) {
      await inner.remove(version, ids);
      for (const id of ids) {
        at(known, version).delete(id);
        at(lost, version).delete(id);
      }
    },
    async unfindable(version, objects) {
      const gone = new Set(await inner.unfindable(version, objects));
      const ids = objects.map(({ passageId }) => passageId);
      return ids.filter((id) => gone.has(id) || at(lost, version).has(id));
    },
    async search(version, wanted, options) {
      const without = at(lost, version);
      const hits = await inner.search(version, { ...wanted, limit: wanted.limit + without.size }, options);
      return hits.filter(({ passage }) => !without.has(passage.passageId)).slice(0, wanted.limit);
    },
    async drop(version) {
      await inner.drop(version);
      known.delete(version);
      lost.delete(version);
    },
    incarnationNow: () => `start ${starts}`,
    incarnation: () => Promise.resolve(own.incarnationNow()),
    watch(onLost, signal) {
      watching.add(onLost);
      signal.addEventListener('abort', () => watching.delete(onLost), { once: true });
    },
  };
  return own;
}
