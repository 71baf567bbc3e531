import * as assert from 'uvu/assert';
import { contentSchema, estimateTokens, MAX_TEXT, textContent, textOf } from '../../domain/content.ts';
import { onTheWire, streamId, streamKind, type RecordedEvent } from '../../domain/envelope.ts';
import { ModelFailure, parametersSchema } from '../../domain/model.ts';
import { Refusal, UnknownOutcome, WrongExpectedRevision } from '../../domain/refusal.ts';
import { lineOfText, personal, personalPaths, plainText } from '../../domain/text.ts';
import { z } from 'zod';
import { suite } from '../harness.ts';

const test = suite('content, envelope, text, model, refusal');

test('content is one to twenty text parts that a log can hold', () => {
  assert.equal(contentSchema.parse(textContent('Hi 🫖')), [{ type: 'text', text: 'Hi 🫖' }]);
  const many = (n: number) => Array.from({ length: n }, () => ({ type: 'text', text: 'x' }));
  assert.ok(contentSchema.safeParse(many(20)).success);
  const bad = [
    [],
    many(21),
    [{ type: 'image', text: 'x' }],
    [{ type: 'text' }],
    [{ type: 'text', text: 'x', more: 1 }],
  ];
  const texts = ['\u0000', 'a\ud800', '\udc00a', 'x'.repeat(MAX_TEXT + 1)].map((text) => textContent(text));
  for (const each of [...bad, ...texts]) assert.not.ok(contentSchema.safeParse(each).success);
});

test('texts are joined by lines, tokens guessed upwards', () => {
  assert.is(textOf([...textContent('a'), ...textContent('b')]), 'a\nb');
  assert.equal(['', 'a', 'abcd', 'abcde'].map(estimateTokens), [0, 1, 1, 2]);
});

test('plain text and lines', () => {
  assert.is(plainText(3).parse('a\nb'), 'a\nb');
  assert.is(lineOfText(5).parse(' ab '), 'ab');
  for (const text of ['', '  ', 'a\nb', 'a\tb', 'a\u2028b', 'a\u0085b', '\ud800', 'a\u0000', 'abcdef'])
    assert.not.ok(lineOfText(5).safeParse(text).success, JSON.stringify(text));
});

test('personal texts are found wherever a schema holds them, and only the marked ones', () => {
  const secret = () => personal(plainText(10));
  const schema = z.strictObject({
    a: secret(),
    b: plainText(10),
    c: z.array(z.union([z.strictObject({ d: secret().optional() }), z.strictObject({ e: secret().nullable() })])),
    f: z.record(z.string(), secret()),
    g: z.discriminatedUnion('kind', [z.strictObject({ kind: z.literal('x'), h: secret() })]).optional(),
  });
  assert.equal(personalPaths(schema), [['a'], ['c', '*', 'd'], ['c', '*', 'e'], ['f', '*'], ['g', 'h']]);
});

test('streams are named by kind and id', () => {
  assert.equal([streamKind('discussion-1-2'), streamId('discussion-1-2')], ['discussion', '1-2']);
  assert.equal([streamKind('plain'), streamId('plain')], ['plain', 'plain']);
});

test('on the wire a position is a string, a missing cause is null, and what is internal is left out', () => {
  const event: RecordedEvent = {
    id: 'e1',
    type: 'ParticipantLeft',
    schemaVersion: 1,
    data: { participantId: 'p' },
    stream: 'discussion-1',
    revision: 3,
    position: 12345678901234567890n,
    metadata: {
      actor: { kind: 'user', id: 'u1' },
      project: 'default',
      occurredAt: '2026-01-01T00:00:00.000Z',
      commandId: 'c1',
      bodySha256: 'b1',
      requestId: 'r1',
      correlationId: 'c1',
      traceparent: 't1',
    },
  };
  assert.equal(onTheWire(event), {
    id: 'e1',
    type: 'ParticipantLeft',
    schemaVersion: 1,
    stream: 'discussion-1',
    revision: 3,
    position: '12345678901234567890',
    occurredAt: '2026-01-01T00:00:00.000Z',
    actor: { kind: 'user', id: 'u1' },
    commandId: 'c1',
    correlationId: 'c1',
    causationId: null,
    data: { participantId: 'p' },
  });
  const caused = { ...event, metadata: { ...event.metadata, causationId: 'e0' } };
  assert.is(onTheWire(caused).causationId, 'e0');
});

test('refusals and failures say whether to try again', () => {
  assert.equal([new Refusal('conflict', 'x').retryable, new Refusal('unavailable', 'x').retryable], [false, true]);
  const cause = new Error('below');
  const refusal = new Refusal('conflict', 'x', { retryable: true, actualRevision: 7, cause });
  assert.equal([refusal.retryable, refusal.actualRevision, refusal.cause], [true, 7, cause]);
  assert.match(
    new WrongExpectedRevision('s', 3, undefined).message,
    /s was expected at revision 3 but is at another one/,
  );
  assert.is(new UnknownOutcome('timed out', cause).cause, cause);
  const failure = new ModelFailure('time_out', 'too slow', { promptTooLong: true });
  assert.equal([failure.retryable, failure.promptTooLong, failure.usage], [true, true, undefined]);
});

test('parameters in range and of the right type only', () => {
  const good = {
    temperature: 0,
    top_p: 1,
    top_k: 40,
    seed: 0,
    num_ctx: 4096,
    num_predict: 1,
    stop: ['x'],
    format: 'json',
  };
  assert.equal(parametersSchema.parse(good), good);
  assert.ok(parametersSchema.safeParse({ format: { type: 'object', properties: {} } }).success);
  const bad = [
    { num_predict: -1 },
    { num_ctx: 1.5 },
    { seed: -1 },
    { temperature: 2.1 },
    { stop: [''] },
    { mirostat: 1 },
  ];
  for (const each of bad) assert.not.ok(parametersSchema.safeParse(each).success, JSON.stringify(each));
});

test.run();
