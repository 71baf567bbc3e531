import type { Passage, PassageHit } from '../../../domain/meaning/vectorIndex.ts';

const DISCUSSION = '01890a5d-ac96-774b-bcce-b302099a8057';

/** A passage that somebody said; `more` replaces what is usual. */
export function aPassage(more: Partial<Passage> = {}): Passage {
  const discussionId = more.discussionId ?? DISCUSSION;
  const text = more.text ?? 'The Apache licence grants patents.';
  return {
    passageId: '4c3f4a11-0f6c-5ab4-9d24-5d0f6a520f6c',
    project: 'default',
    discussionId,
    kind: 'message',
    agentId: null,
    eventId: '5d0f6a52-0f6c-5ab4-9d24-6f1a4c3f4a11',
    stream: `discussion-${discussionId}`,
    revision: 7,
    position: '42',
    chunk: 0,
    starts: 0,
    ends: text.length,
    at: '2025-01-31T12:00:04.000Z',
    ...more,
    text,
  };
}

/** That passage, found. */
export function aHit(more: Partial<Passage> = {}, score = 0.5): PassageHit {
  return { passage: aPassage(more), score };
}
