import * as assert from 'uvu/assert';
import { evolveDiscussion } from '../../../domain/discussion/evolve.ts';
import type { DiscussionEvent } from '../../../domain/discussion/events.ts';
import { claim, complete, given, post, startMs, usage } from '../given.ts';
import { suite } from '../../harness.ts';

const test = suite('discussion: the fold');

const place = { revision: 9, atMs: startMs };
const foreign = '01890a5d-ac96-774b-bcce-b302099a8057';

/** An event that only a newer program knows. */
function newer(type: string, data: unknown): DiscussionEvent {
  return JSON.parse(JSON.stringify({ type, data })) as DiscussionEvent;
}

test('before the first event nothing counts; a second opening changes nothing', () => {
  const at = given();
  for (const event of at.log.slice(1))
    assert.equal(evolveDiscussion({ status: 'none' }, event, place), { status: 'none' });
  const [opened] = at.log;
  if (opened === undefined) throw new Error('nothing was opened');
  assert.equal(evolveDiscussion(at.state, opened, place), at.state);
});

test('events of another turn change nothing', () => {
  const at = given();
  const held = at.when(claim(at));
  const events: DiscussionEvent[] = [
    { type: 'TurnSkipped', data: { turnId: foreign, reason: 'deadline' } },
    { type: 'TurnCancelled', data: { turnId: foreign, reason: 'requested' } },
    { type: 'TurnFailed', data: { turnId: foreign, attempts: 1, reason: 'error', detail: '' } },
    { type: 'TurnCompleted', data: { ...held.when(complete(held)).data('TurnCompleted'), turnId: foreign } },
    { type: 'TurnClaimed', data: { ...held.data('TurnClaimed'), turnId: foreign } },
  ];
  for (const event of events) assert.equal(evolveDiscussion(held.state, event, place), held.state, event.type);
});

test('events that this program does not know change nothing', () => {
  const at = given();
  for (const type of ['DiscussionMerged', 'TurnPrioritised'])
    for (const turnId of [at.turn().turnId, foreign])
      assert.equal(evolveDiscussion(at.state, newer(type, { turnId }), place), at.state, type);
});

test('messages are marked by revision, end to end, a frame’s cost included', () => {
  const at = given({ participants: [] })
    .when(post('Eve', 'x'.repeat(40)))
    .when(post('Eve', 'y'));
  assert.equal(at.existing().marks, [
    { revision: 1, startsAt: 0, endsAt: 34 },
    { revision: 2, startsAt: 34, endsAt: 59 },
  ]);
});

test('nothing is changed in place', () => {
  const at = given();
  const before = JSON.stringify(at.state);
  const held = at.when(claim(at));
  held
    .when(complete(held, '@Bob', { usage: usage(1, 1) }))
    .when(post('Eve', '@Ada'))
    .when({ kind: 'conclude' });
  assert.is(JSON.stringify(at.state), before);
});

test.run();
