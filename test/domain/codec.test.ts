import * as assert from 'uvu/assert';
import { canonicalJson, createCodec, type StoredEvent } from '../../domain/codec.ts';
import type { NewEvent } from '../../domain/envelope.ts';
import { eventDefinition, eventTypes } from '../../domain/events.ts';
import type { Seal, SealedText } from '../../domain/ports.ts';
import { Refusal } from '../../domain/refusal.ts';
import { given, post } from './given.ts';
import { suite } from '../harness.ts';

const test = suite('codec');

const stream = 'discussion-1';
const metadata = {
  actor: { kind: 'user', id: 'u1' },
  project: 'default',
  occurredAt: '2026-01-01T00:00:00.000Z',
  commandId: 'c1',
  bodySha256: 'b1',
  correlationId: 'c1',
} as const;

/** Turns every text around and remembers what it was given. */
function reversingSeal() {
  const seen: SealedText[] = [];
  const turned = (texts: readonly SealedText[]) => {
    seen.push(...texts);
    return Promise.resolve(texts.map(({ text }) => [...text].reverse().join('')));
  };
  return { seen, seal: { seal: turned, open: turned } satisfies Seal };
}

const identity: Seal = {
  seal: (texts) => Promise.resolve(texts.map(({ text }) => text)),
  open: (texts) => Promise.resolve(texts.map(({ text }) => text)),
};

function event(type: string, data: unknown, schemaVersion = 1): NewEvent {
  return { id: '01890a5d-ac96-774b-bcce-b302099a8057', type, schemaVersion, data, metadata };
}

const opened = event('DiscussionOpened', {
  topic: 'Is tea better?',
  title: 'Tea',
  projectId: 'default',
  nonce: '0123456789abcdef',
  priority: 5,
  context: { text: 'A document.' },
  policy: { kind: 'round-robin' },
  limits: { stopPhrases: [], maxTurns: 1, maxTokens: 10, maxCostUsd: null, deadline: null },
});

async function rejected(promise: Promise<unknown>): Promise<Refusal> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error('was accepted');
}

function onlyOne(stored: readonly StoredEvent[]): StoredEvent & { stream: string } {
  const [one] = stored;
  if (one === undefined || stored.length > 1) throw new Error(`${stored.length} events`);
  return { ...one, stream };
}

test('canonical JSON (RFC 8785): keys by UTF-16 units, shortest numbers, plain escapes', () => {
  const value = {
    b: [1e21, 1e-7, 0.1, -0, 100],
    a: { é: null, '\ud83d\ude00': true, '\ufb33': 'x', A: '"\\\n\u0007€' },
  };
  assert.is(
    canonicalJson(value),
    '{"a":{"A":"\\"\\\\\\n\\u0007€","é":null,"😀":true,"\ufb33":"x"},"b":[1e+21,1e-7,0.1,0,100]}',
  );
  assert.is(canonicalJson({ a: undefined, b: 1 }), '{"b":1}');
  for (const bad of [undefined, Number.NaN, Infinity, '\ud800', { a: ['\udc00'] }])
    assert.throws(() => canonicalJson(bad));
});

test('an event is stored as exactly these bytes', async () => {
  const stored = onlyOne(await createCodec(identity).encode(stream, [opened]));
  assert.is(
    stored.data,
    '{"context":{"text":"A document."},' +
      '"limits":{"deadline":null,"maxCostUsd":null,"maxTokens":10,"maxTurns":1,"stopPhrases":[]},' +
      '"nonce":"0123456789abcdef","policy":{"kind":"round-robin"},"priority":5,"projectId":"default",' +
      '"title":"Tea","topic":"Is tea better?"}',
  );
  assert.is(
    stored.metadata,
    '{"actor":{"id":"u1","kind":"user"},"bodySha256":"b1","commandId":"c1","correlationId":"c1",' +
      '"occurredAt":"2026-01-01T00:00:00.000Z","project":"default"}',
  );
  assert.equal([stored.id, stored.type, stored.schemaVersion], [opened.id, 'DiscussionOpened', 1]);
  assert.equal(await createCodec(identity).decode([stored]), [opened]);
});

test('personal texts, and only they, pass the seal, with their stream and project; the event itself stays', async () => {
  const { seal, seen } = reversingSeal();
  const codec = createCodec(seal);
  const before = canonicalJson(opened);
  const stored = onlyOne(await codec.encode(stream, [opened]));
  assert.is(canonicalJson(opened), before);
  const data = JSON.parse(stored.data) as Record<string, unknown>;
  assert.equal([data['title'], data['topic'], data['context']], ['aeT', '?retteb aet sI', { text: '.tnemucod A' }]);
  assert.equal(data['nonce'], '0123456789abcdef');
  assert.equal(seen, [
    { stream, project: 'default', text: 'Tea' },
    { stream, project: 'default', text: 'Is tea better?' },
    { stream, project: 'default', text: 'A document.' },
  ]);
  assert.equal(await codec.decode([stored]), [opened]);
});

test('which paths are personal', () => {
  const personal = Object.fromEntries(
    eventTypes().flatMap((type) => {
      const paths = eventDefinition(type)?.personal ?? [];
      return paths.length === 0 ? [] : [[type, paths.map((path) => path.join('.'))]];
    }),
  );
  assert.equal(personal, {
    DiscussionOpened: ['title', 'topic', 'context.text'],
    DiscussionForked: ['title', 'topic'],
    MessagePosted: ['content.*.text'],
    TurnClaimed: ['prompt.retrieved.*.author'],
    TurnCompleted: ['content.*.text'],
    TurnAttemptAbandoned: ['partial'],
    DiscussionConcluded: ['detail'],
  });
});

test('a batch of many texts keeps its order; whatever decide writes comes back as it was', async () => {
  const { seal } = reversingSeal();
  const codec = createCodec(seal);
  const parts = ['one', 'two', 'three 🫖'].map((text) => ({ type: 'text' as const, text }));
  const { log } = given({ contextText: 'Doc' })
    .when(post('Eve', '', { content: parts }))
    .when({ kind: 'conclude' });
  const events = log.map(({ type, data }) => event(type, data));
  const stored = await codec.encode(stream, events);
  assert.match(stored.find((each) => each.type === 'MessagePosted')?.data ?? '', /"eno".*"owt".*"🫖 eerht"/);
  assert.equal(await codec.decode(stored.map((each) => ({ ...each, stream }))), events);
});

test('a seal that answers too little is noticed', async () => {
  const forgetful: Seal = { ...identity, seal: () => Promise.resolve(['only one']) };
  assert.match((await rejected(createCodec(forgetful).encode(stream, [opened]))).message, /fewer texts/);
});

test('what does not fit its schema is not written: unknown types and versions, wrong, missing and extra fields', async () => {
  const codec = createCodec(identity);
  const data = opened.data as Record<string, unknown>;
  const bad = [
    event('Nonsense', {}),
    event('toString', {}),
    { ...opened, schemaVersion: 2 },
    { ...opened, data: { ...data, priority: 10 } },
    { ...opened, data: { ...data, extra: 1 } },
    { ...opened, data: { ...data, topic: 'a\u0000b' } },
    { ...opened, data: { ...data, topic: '\ud83d' } },
    { ...opened, data: null },
  ];
  for (const each of bad) assert.is((await rejected(codec.encode(stream, [opened, each]))).code, 'internal');
});

test('types that this program does not know pass as they are stored', async () => {
  const { seal } = reversingSeal();
  const stored = { id: 'x', type: 'TaskOpened', schemaVersion: 7, data: '{"text":"abc"}', stream };
  const [decoded] = await createCodec(seal).decode([{ ...stored, metadata: canonicalJson(metadata) }]);
  assert.equal(decoded, { id: 'x', type: 'TaskOpened', schemaVersion: 7, data: { text: 'abc' }, metadata });
});

test('a newer version of a known type keeps its version and its unknown fields', async () => {
  const stored = { id: 'x', type: 'ParticipantLeft', schemaVersion: 2, data: '{"why":"tired"}', stream };
  const [decoded] = await createCodec(identity).decode([{ ...stored, metadata: canonicalJson(metadata) }]);
  assert.equal([decoded?.schemaVersion, decoded?.data], [2, { why: 'tired' }]);
});

test('an old version without a way up is refused', async () => {
  const stored = { id: 'x', type: 'ParticipantLeft', schemaVersion: 0, data: '{}', stream };
  const refusal = await rejected(createCodec(identity).decode([{ ...stored, metadata: canonicalJson(metadata) }]));
  assert.match(refusal.message, /no upcast for event ParticipantLeft from version 0/);
});

test.run();
