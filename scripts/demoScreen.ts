import { styleText } from 'node:util';
import { textOf } from '../domain/content.ts';
import type { DiscussionEvent, Participant } from '../domain/discussion/events.ts';
import type { RecordedEvent } from '../domain/envelope.ts';
import type { Delta } from '../domain/ports.ts';

/** The terminal while a discussion is held. */
export interface Screen {
  delta(delta: Delta): void;
  event(event: RecordedEvent): void;
}

const COLOURS = ['cyan', 'yellow', 'green', 'magenta', 'blue'] as const;
type Colour = (typeof COLOURS)[number] | 'white';

/**
 * Speakers in colour, their words as they arrive. What came as deltas is not printed again when its turn completes;
 * what did not (a slow terminal loses deltas) is.
 */
export function createScreen(participants: readonly Participant[], turns: number): Screen {
  const colourOf = new Map<string, Colour>(
    participants.map((each, i) => [each.participantId, COLOURS[i % COLOURS.length] ?? 'white']),
  );
  const nameOf = new Map(participants.map((each) => [each.participantId, each.name]));
  const asked = new Map<string, { participantId: string; number: number }>();
  let shown = { turnId: '', attempt: 0, text: '', ended: true };
  const write = (text: string) => void process.stdout.write(text);
  const heading = (turnId: string) => {
    const turn = asked.get(turnId);
    const colour = colourOf.get(turn?.participantId ?? '') ?? 'white';
    write(
      `${styleText(colour, nameOf.get(turn?.participantId ?? '') ?? 'somebody')} ${styleText('dim', `turn ${turn?.number ?? '?'} of ${turns}`)}\n`,
    );
  };
  return {
    delta({ turnId, attempt, offset, text }) {
      if (turnId !== shown.turnId || attempt !== shown.attempt) {
        if (!asked.has(turnId)) return;
        if (!shown.ended && shown.text !== '') write('\n');
        heading(turnId);
        shown = { turnId, attempt, text: '', ended: false };
      }
      if (offset !== shown.text.length) return;
      shown.text += text;
      write(text);
    },
    event(recorded) {
      const event = recorded as DiscussionEvent & RecordedEvent;
      if (event.type === 'TurnRequested') asked.set(event.data.turnId, event.data);
      if (event.type === 'TurnCompleted') {
        const text = textOf(event.data.content);
        if (shown.turnId !== event.data.turnId) heading(event.data.turnId);
        const printed = shown.turnId === event.data.turnId && text.startsWith(shown.text) ? shown.text.length : 0;
        write(`${text.slice(printed)}\n${styleText('dim', progress(event))}\n\n`);
        shown = { turnId: event.data.turnId, attempt: event.data.attempt, text, ended: true };
      }
      if (event.type === 'TurnAttemptAbandoned')
        write(`\n${styleText('red', `attempt ${event.data.attempt} gave no answer: ${event.data.detail}`)}\n`);
      if (event.type === 'TurnFailed') write(`${styleText('red', `the turn failed: ${event.data.detail}`)}\n`);
    },
  };
  function progress(event: Extract<DiscussionEvent, { type: 'TurnCompleted' }>): string {
    const { usage, timing } = event.data;
    const number = asked.get(event.data.turnId)?.number ?? 0;
    const bar = '█'.repeat(Math.round((number / turns) * 20)).padEnd(20, '·');
    return `${bar} ${number}/${turns} · ${usage.inputTokens} tokens read, ${usage.outputTokens} written, ${(timing.totalMs / 1000).toFixed(1)} s`;
  }
}
