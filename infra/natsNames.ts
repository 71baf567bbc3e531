import type { RecordedEvent } from '../domain/envelope.ts';
import { streamKind } from '../domain/envelope.ts';
import type { Delta } from '../domain/ports.ts';

/** What one installation calls its things on a NATS server that others may use too. */
export interface NatsNames {
  readonly wakeUps: { readonly stream: string; readonly subject: string; readonly consumer: string };
  readonly deltas: { readonly stream: string; readonly subject: string };
  readonly events: { readonly stream: string; readonly subject: string };
  /** Subject of a turn's deltas. */
  deltaSubject(turn: Pick<Delta, 'project' | 'discussionId' | 'turnId'>): string;
  /** Subjects of the deltas that a reader wants, with wildcards. */
  deltaFilter(wants: { project: string; discussionId?: string }): string;
  /** Subject of an announced event. */
  eventSubject(event: RecordedEvent): string;
}

/**
 * Names by the log's lineage: its last twelve hexadecimal digits, which are random in every kind of UUID that logs use
 * (the first ones are a time in some).
 */
export function natsNames(lineage: string): NatsNames {
  const id = /^[0-9a-f-]{36}$/i.test(lineage) ? lineage.slice(-12).toLowerCase() : subjectToken(lineage);
  const root = `colloquy.${id}`;
  const deltas = `${root}.deltas`;
  return {
    wakeUps: { stream: `colloquy_${id}_wakeups`, subject: `${root}.wake.turn`, consumer: 'workers' },
    deltas: { stream: `colloquy_${id}_deltas`, subject: `${deltas}.>` },
    events: { stream: `colloquy_${id}_events`, subject: `${root}.events.>` },
    deltaSubject: ({ project, discussionId, turnId }) =>
      [deltas, ...[project, discussionId, turnId].map(subjectToken)].join('.'),
    deltaFilter({ project, discussionId }) {
      const tokens = [project === '*' ? '*' : subjectToken(project)];
      tokens.push(discussionId === undefined ? '*' : subjectToken(discussionId), '*');
      return [deltas, ...tokens].join('.');
    },
    eventSubject: (event) =>
      [`${root}.events`, ...[event.metadata.project, streamKind(event.stream), event.type].map(subjectToken)].join('.'),
  };
}

/** One token of a subject: what has a meaning there (`.`, `*`, `>`, spaces) or could not be sent is written as `=` and hexadecimal. */
export function subjectToken(text: string): string {
  if (text === '') return '=';
  return text.replace(/[^A-Za-z0-9_-]/gu, (sign) => `=${Buffer.from(sign).toString('hex')}`);
}
