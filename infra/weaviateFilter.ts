import type { WhereFilter } from 'weaviate-ts-client';
import type { PassageFilter } from '../domain/meaning/vectorIndex.ts';

/** Null for everything. Lists that are empty have no operator to stand for them (W16): `findsNothing` comes before. */
export function weaviateFilter(filter: PassageFilter): WhereFilter | null {
  const { projects, within, except = [], kinds, agentId, from, to } = filter;
  const all: WhereFilter[] = [];
  if (projects !== null) all.push(oneOf('project', projects));
  if (within !== undefined) all.push(anyOf(within.map(upTo)));
  all.push(...except.map(before));
  if (kinds !== undefined) all.push(oneOf('kind', kinds));
  if (agentId !== undefined) all.push(oneOf('agentId', [agentId]));
  if (from !== undefined) all.push({ path: ['at'], operator: 'GreaterThanEqual', valueDate: from });
  if (to !== undefined) all.push({ path: ['at'], operator: 'LessThan', valueDate: to });
  return all.length === 0 ? null : joined('And', all);
}

/** By their ids. */
export function withIds(ids: readonly string[]): WhereFilter {
  return oneOf('id', ids);
}

function oneOf(property: string, values: readonly string[]): WhereFilter {
  return { path: [property], operator: 'ContainsAny', valueTextArray: [...values] };
}

function upTo({ discussionId, until }: { discussionId: string; until: number | null }): WhereFilter {
  const discussion = oneOf('discussionId', [discussionId]);
  if (until === null) return discussion;
  return joined('And', [discussion, { path: ['revision'], operator: 'LessThanEqual', valueInt: until }]);
}

function before({ discussionId, from }: { discussionId: string; from: number }): WhereFilter {
  return joined('Or', [
    { path: ['discussionId'], operator: 'NotEqual', valueText: discussionId },
    { path: ['revision'], operator: 'LessThan', valueInt: from },
  ]);
}

function anyOf(filters: readonly WhereFilter[]): WhereFilter {
  return joined('Or', filters);
}

/** @param operands one at least. */
function joined(operator: 'And' | 'Or', operands: readonly WhereFilter[]): WhereFilter {
  const [first] = operands;
  return operands.length === 1 && first !== undefined ? first : { operator, operands: [...operands] };
}
