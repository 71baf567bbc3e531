/**
 * What a real EventStoreDB 24.6.0 was recorded to answer, case by case in the recordings' order, asked of one fresh server:
 * the stand-in, or the one that EVENTSTORE_URL names. First on the wire, then through `@eventstore/db-client` 6.2.1.
 */
import { EventStoreDBClient, jsonEvent } from '@eventstore/db-client';
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import { eventStoreForTests } from '../services.ts';
import { type EventStoreStandin, startEventStoreStandin } from './eventstoredb.ts';
import { clientCases, clientOutcome, SMOKE_STREAM } from './eventstoredbClientCases.ts';
import { createComparison, withSuffix } from './eventstoredbCompare.ts';
import { recordedEventStoreCases } from './eventstoredbRecordings.ts';
import { replay, type ReplayClients, replayClients } from './eventstoredbReplay.ts';
import { sentSchema } from './eventstoredbSent.ts';

const real = eventStoreForTests();
const suffix = Math.floor(36 + Math.random() * 1_260).toString(36);
const CASE_DEADLINE_MS = 30_000;

function none(differences: readonly string[]): void {
  if (differences.length > 0) throw new Error(differences.join('\n      '));
}

function leaveOut(names: readonly string[], reason: string): void {
  process.stdout.write(`left out: EventStoreDB cases ${names.join('; ')}: ${reason}\n`);
}

const wire = suite('EventStoreDB vectors on the wire');
const wireComparison = createComparison(suffix);
let wireStandin: EventStoreStandin | null = null;
let clients: ReplayClients;

wire.before(async () => {
  wireStandin = real ? null : await startEventStoreStandin();
  clients = replayClients(real?.url ?? wireStandin?.url ?? '');
});

wire.after(async () => {
  clients.close();
  await wireStandin?.stop();
});

const run = async (one: { sent: unknown; got: unknown }): Promise<void> => {
  const sent = sentSchema.parse(withSuffix(one.sent, suffix));
  const { messages } = one.got as { messages?: unknown[] };
  const options = { messages: messages?.length ?? 0, placed: (recorded: string) => wireComparison.placed(recorded) };
  const answered = await replay(clients, sent, options);
  if (sent.deadlineMs === undefined) return none(wireComparison.differences(one.got, answered));
  // Whether it was written nobody knows: repeated as it was, it is there once, as the later cases have it.
  const again = await replay(clients, { ...sent, deadlineMs: undefined }, options);
  const inTime = JSON.stringify(answered).includes('"success"');
  none(wireComparison.differences(inTime ? again : one.got, answered));
};

for (const one of recordedEventStoreCases('eventstoredb'))
  wire(one.name, async () => await run(one), { deadlineMs: CASE_DEADLINE_MS });

leaveOut(
  recordedEventStoreCases('eventstoredb-secured').map(({ name }) => name),
  'need TLS and users; without TLS a server ignores who asks',
);

const control = suite('EventStoreDB vectors, control');

control('the comparison sees other codes, orders, revisions and missing messages', () => {
  const at = (commitPosition: string): object => ({ success: { position: { commitPosition } } });
  const differs = (recorded: unknown, answered: unknown): boolean => {
    const comparison = createComparison('r1');
    none(comparison.differences([at('10'), at('20')], [at('7'), at('9')]));
    return comparison.differences(recorded, answered).length > 0;
  };
  assert.not.ok(differs(at('20'), at('9')), 'the same event again');
  assert.ok(differs(at('20'), at('7')), 'the position of another event');
  assert.ok(differs(at('30'), at('8')), 'an order of its own');
  assert.ok(differs(at('30'), at('9')), 'two events at one position');
  assert.ok(differs({ success: {} }, {}));
  assert.ok(differs({}, { error: 1 }));
  assert.ok(differs({ code: 9 }, { code: 2 }));
  assert.ok(differs({ messages: ['caughtUp'] }, { messages: [] }));
  assert.ok(differs({ trailers: { exception: 'a' } }, { trailers: { exception: 'b' } }));
  const event = (streamRevision: string): object => ({ event: { event: { streamRevision } } });
  assert.ok(differs({ messages: [{ event: 'a-RUN@1' }] }, { messages: [event('2')] }));
});

const library = suite('EventStoreDB vectors of the client');
const libraryComparison = createComparison(suffix);
/** More than two windows of the client's filter, so that a filtered subscription meets checkpoints. */
const EARLIER_EVENTS = 100;
let libraryStandin: EventStoreStandin | null = null;
let client: EventStoreDBClient;

library.before(async () => {
  libraryStandin = real ? null : await startEventStoreStandin();
  client = EventStoreDBClient.connectionString(real?.url ?? libraryStandin?.url ?? '');
  const types = ['A', 'B', ...Array.from({ length: EARLIER_EVENTS }, () => 'C')];
  const events = types.map((type) => jsonEvent({ type, data: {} }));
  await client.appendToStream(SMOKE_STREAM, events);
});

library.after(async () => {
  await client.dispose();
  await libraryStandin?.stop();
});

for (const { name, got } of recordedEventStoreCases('eventstoredb-client')) {
  if (real && name === '$all, first 3') leaveOut([name], 'the log of EVENTSTORE_URL begins with the cases on the wire');
  else library(name, async () => await runLibrary(name, got), { deadlineMs: CASE_DEADLINE_MS });
}

async function runLibrary(name: string, got: unknown): Promise<void> {
  const act = clientCases.get(name);
  if (!act) throw new Error('the runner knows no such case');
  const answered = await clientOutcome(() => act(client, suffix));
  // It may have been written in time.
  if (name.endsWith('deadline 1 ms') && JSON.stringify(answered).includes('"success":true')) return;
  const recorded = JSON.stringify(got).replace('["checkpoint>true",700]', '["checkpoint>true","<some>"]');
  none(libraryComparison.differences(JSON.parse(recorded), answered));
}

wire.run();
control.run();
library.run();
