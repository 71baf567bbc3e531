import * as assert from 'uvu/assert';
import type { Passage } from '../../../domain/meaning/vectorIndex.ts';
import { passesFilter, recallFilter } from '../../../domain/prompt/recallFilter.ts';
import { suite } from '../../harness.ts';

const test = suite('where memories look');

const [eldest, parent, own] = ['a', 'b', 'c'];
/** Events 0 to 9 stand in the eldest, 10 to 14 in the parent, the rest in its own stream. */
const ancestors = [
  { discussionId: eldest, revision: 9, turns: 2 },
  { discussionId: parent, revision: 4, turns: 3 },
];
const state = { projectId: 'tea', ancestors };
const of = (scope: 'discussion' | 'project', from: number | null) =>
  recallFilter(scope, own, state, from === null ? null : { from });

test('the discussion alone, up to the event before its window, wherever in the lineage that is', () => {
  const all = [
    { discussionId: eldest, until: 9 },
    { discussionId: parent, until: 4 },
  ];
  assert.equal(of('discussion', null).within, [...all, { discussionId: own, until: null }]);
  assert.equal(of('discussion', 20).within, [...all, { discussionId: own, until: 4 }]);
  assert.equal(of('discussion', 15).within, all);
  assert.equal(of('discussion', 12).within, [
    { discussionId: eldest, until: 9 },
    { discussionId: parent, until: 1 },
  ]);
  assert.equal(of('discussion', 3).within, [{ discussionId: eldest, until: 2 }]);
});

test('all of the project but what the window shows, in each stream that it touches', () => {
  assert.equal(of('project', null), { projects: ['tea'] });
  assert.equal(of('project', 20), { projects: ['tea'], except: [{ discussionId: own, from: 5 }] });
  assert.equal(of('project', 12).except, [
    { discussionId: parent, from: 2 },
    { discussionId: own, from: 0 },
  ]);
});

test('what a store should not have given does not pass', () => {
  const passage = (discussionId: string, revision: number, project = 'tea', stream = `discussion-${discussionId}`) => ({
    ...{
      passageId: 'p',
      project,
      discussionId,
      kind: 'message' as const,
      agentId: null,
      eventId: 'e',
      stream,
      revision,
    },
    ...{ position: '1', chunk: 0, starts: 0, ends: 1, at: '2026-01-01T00:00:00.000Z', text: 'x' },
  });
  const passes = (given: Passage, scope: 'discussion' | 'project') => passesFilter(given, of(scope, 12));
  assert.ok(passes(passage(parent, 1), 'discussion') && passes(passage(parent, 1), 'project'));
  assert.ok(passes(passage('other', 50), 'project'));
  for (const [bad, scope] of [
    [passage(parent, 2), 'discussion'],
    [passage(own, 0), 'discussion'],
    [passage('other', 50), 'discussion'],
    [passage(parent, 2), 'project'],
    [passage(own, 0), 'project'],
    [passage('other', 50, 'coffee'), 'project'],
    [passage('other', 50, 'tea', 'discussion-secret'), 'project'],
  ] as const)
    assert.not.ok(passes(bad, scope), `${scope}: ${JSON.stringify(bad)}`);
});

test.run();
