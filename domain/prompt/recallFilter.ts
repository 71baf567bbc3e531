import type { AgentMemory } from '../agent/events.ts';
import { partsOf } from '../discussion/lineage.ts';
import type { ExistingDiscussion } from '../discussion/state.ts';
import type { Passage, PassageFilter } from '../meaning/vectorIndex.ts';

/**
 * Where an agent's memory looks, held by the store's own query: never at what the prompt's window shows. Places of the
 * window count over the discussion's lineage, a filter's revisions do not.
 */
export function recallFilter(
  scope: AgentMemory['scope'],
  discussionId: string,
  { projectId, ancestors }: Pick<ExistingDiscussion, 'projectId' | 'ancestors'>,
  window: { readonly from: number } | null,
): PassageFilter {
  const projects = [projectId];
  const parts = partsOf(discussionId, ancestors);
  const begins = window?.from ?? Infinity;
  if (scope === 'discussion') {
    const within = parts.flatMap(({ discussionId: id, offset, until }) => {
      const last = Math.min(until ?? Infinity, begins - 1 - offset);
      return last < 0 ? [] : [{ discussionId: id, until: last === Infinity ? null : last }];
    });
    return { projects, within };
  }
  if (window === null) return { projects };
  const except = parts
    .filter(({ offset, until }) => offset + (until ?? Infinity) >= begins)
    .map(({ discussionId: id, offset }) => ({ discussionId: id, from: Math.max(0, begins - offset) }));
  return { projects, except };
}

/** Once more what a store was asked for: nothing of elsewhere comes in by one that errs. */
export function passesFilter(
  { project, discussionId, stream, revision }: Passage,
  { projects, within, except }: ReturnType<typeof recallFilter>,
): boolean {
  const isOf = (each: { discussionId: string }) => each.discussionId === discussionId;
  return (
    stream === `discussion-${discussionId}` &&
    projects?.includes(project) === true &&
    within?.some((each) => isOf(each) && revision <= (each.until ?? Infinity)) !== false &&
    except?.some((each) => isOf(each) && revision >= each.from) !== true
  );
}
