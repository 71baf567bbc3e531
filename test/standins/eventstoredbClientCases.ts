/** The recorded cases of `@eventstore/db-client` 6.2.1, as code: what each does, by its name in the recording. */
import {
  type AppendResult,
  BACKWARDS,
  binaryEvent,
  END,
  type EventStoreDBClient,
  type EventData,
  jsonEvent,
  START,
  streamNameFilter,
} from '@eventstore/db-client';

export type ClientCase = (client: EventStoreDBClient, suffix: string) => Promise<unknown>;

/** The recording's log began with this stream; its other events only made it long. */
export const SMOKE_STREAM = 'smoke-38a4576f-fe5e-46cc-951e-c142a1e697c1';
const CREDENTIALS = { username: 'nobody', password: 'ignored without TLS' };
/** Ids of events that later reads show whole. */
const IDS = { conv: '9cf6aec5-8eb4-41fb-97fc-0bf1d91a7a30', metadata: '7e592906-d464-4d02-af74-8b7efa237597' };
const EARLIER_ID = '3a0c2f6e-92b1-4d0e-8a53-5d0d8f8f6b11';
const KIB = 1_024;

const json = (id?: string): EventData => jsonEvent({ type: 'T', data: { n: 1 }, ...(id ? { id } : {}) });
const bytes = (kib: number): EventData => binaryEvent({ type: 'T', data: new Uint8Array(kib * KIB) });

/** Appends by the batch path, or with per-call credentials by the unary one. */
function appendCases(path: 'batch' | 'unary (per-call credentials)', letter: 'b' | 'u'): [string, ClientCase][] {
  const own = letter === 'u' ? { credentials: CREDENTIALS } : {};
  const stream = (name: string, suffix: string): string => `${name}-${suffix}`;
  const append =
    (name: string, events: () => EventData[], options: object): ClientCase =>
    async (client, suffix): Promise<AppendResult> =>
      await client.appendToStream(stream(name, suffix), events(), { ...own, ...options });
  const pair = (): EventData[] => [json(letter === 'b' ? EARLIER_ID : `${EARLIER_ID.slice(0, -1)}2`), json(IDS.conv)];
  const conv = `${letter}conv`;
  const fresh = { expectedRevision: 'no_stream' };
  const cases: [string, ClientCase][] = [
    ['append no_stream', append(conv, pair, fresh)],
    ['the same again', append(conv, pair, fresh)],
    ['conflict no_stream', append(conv, () => [json()], fresh)],
    ['conflict exact 9n', append(conv, () => [json()], { expectedRevision: 9n })],
    ['conflict stream_exists', append('missing', () => [json()], { expectedRevision: 'stream_exists' })],
    ['throwOnAppendFailure false', append(conv, () => [json()], { expectedRevision: 9n, throwOnAppendFailure: false })],
    ['empty batch, exact current', append(conv, () => [], { expectedRevision: 1n })],
    ['900 KiB', append(`${letter}big`, () => [bytes(900)], fresh)],
    ['1100 KiB', append(`${letter}big2`, () => [bytes(1_100)], fresh)],
    ['3 × 400 KiB', append(`${letter}big3`, () => [bytes(400), bytes(400), bytes(400)], fresh)],
    ['deadline 1 ms', append(`${letter}late`, () => [json()], { ...fresh, deadline: 1 })],
    ['(tombstone) append', append(`tomb${letter}`, () => [json()], fresh)],
    ['tombstone', async (client, suffix) => await client.tombstoneStream(stream(`tomb${letter}`, suffix))],
    ['append to a tombstoned stream', append(`tomb${letter}`, () => [json()], { expectedRevision: 'any' })],
    [
      'read a tombstoned stream',
      async (client, suffix) => await taken(client.readStream(stream(`tomb${letter}`, suffix))),
    ],
  ];
  return cases.map(([name, run]) => [`${path}: ${name}`, run]);
}

async function taken<T>(events: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of events) all.push(one);
  return all;
}

const readCases: [string, ClientCase][] = [
  ['read a missing stream', async (client, suffix) => await taken(client.readStream(`nothing-${suffix}`))],
  [
    'read forwards from 1n',
    async (client, suffix) => await taken(client.readStream(`bconv-${suffix}`, { fromRevision: 1n })),
  ],
  [
    'read backwards, last',
    async (client, suffix) => {
      const options = { direction: BACKWARDS, fromRevision: END, maxCount: 1 } as const;
      return (await taken(client.readStream(`bconv-${suffix}`, options))).map(({ event }) => event?.revision);
    },
  ],
  [
    'read beyond the end',
    async (client, suffix) => await taken(client.readStream(`bconv-${suffix}`, { fromRevision: 99n })),
  ],
  [
    'break out of a read early',
    async (client, suffix) => {
      let count = 0;
      const read = client.readStream(`bconv-${suffix}`);
      for await (const _event of read) {
        count += 1;
        break;
      }
      await read.cancel();
      return count;
    },
  ],
  [
    '$all, first 3',
    async (client) =>
      (await taken(client.readAll({ maxCount: 3 }))).map(({ event, commitPosition }) => ({
        type: event?.type,
        stream: event?.streamId,
        position: event?.position,
        commit: commitPosition,
      })),
  ],
  [
    '$all backwards, last 2',
    async (client) => {
      const last = await taken(client.readAll({ direction: BACKWARDS, fromPosition: END, maxCount: 2 }));
      return last.map(({ event }) => ({ type: event?.type, position: event?.position }));
    },
  ],
  [
    '$all from an odd position',
    async (client) => await taken(client.readAll({ fromPosition: { commit: 7n, prepare: 7n } })),
  ],
  ['read stream metadata', async (client, suffix) => await client.getStreamMetadata(`bconv-${suffix}`)],
  [
    'metadata of an event that carries some',
    async (client, suffix) => {
      const metadata = { commandId: 'x', traceparent: '00-1-2-3' };
      const event = jsonEvent({ id: IDS.metadata, type: 'T', data: { a: 1 }, metadata });
      await client.appendToStream(`m-${suffix}`, event, { expectedRevision: 'no_stream' });
      return (await taken(client.readStream(`m-${suffix}`)))[0]?.event;
    },
  ],
];

const subscriptionCases: [string, ClientCase][] = [
  [
    'subscribe to $all from START: events of ours, caughtUp, live',
    async (client, suffix) => {
      const seen: [string, number][] = [];
      const see = (what: string): void => {
        const last = seen.at(-1);
        if (last?.[0] === what) last[1] += 1;
        else seen.push([what, 1]);
      };
      const filter = streamNameFilter({
        prefixes: [`bconv-${suffix}`, `live-${suffix}`],
        checkpointReached: async (_subscription, { commit }) => see(`checkpoint>${commit > 0n}`),
      });
      const subscription = client.subscribeToAll({ fromPosition: START, filter });
      const live = new Promise((resolve, reject) => {
        subscription.on('error', reject).on('confirmation', () => see('confirmation'));
        subscription.on('data', ({ event }) => {
          see(`${event?.streamId}@${event?.revision}`);
          if (event?.streamId === `live-${suffix}`) resolve(null);
        });
      });
      const append = (): Promise<AppendResult> =>
        client.appendToStream(`live-${suffix}`, json(), { expectedRevision: 'no_stream' });
      subscription.on('caughtUp', () => {
        see('caughtUp');
        append().catch((error: unknown) => subscription.emit('error', error));
      });
      try {
        await live;
        // How many checkpoints stand before our events depends on the length of the log.
        return seen.map(([what, times], index) => [what, index === 2 ? '<some>' : times]);
      } finally {
        await subscription.unsubscribe();
      }
    },
  ],
  [
    'subscription with wrong credentials',
    async (client) => {
      const subscription = client.subscribeToAll({ fromPosition: START, credentials: CREDENTIALS });
      try {
        return await new Promise((resolve) => {
          subscription.on('error', resolve).on('data', () => resolve('data'));
        });
      } finally {
        await subscription.unsubscribe();
      }
    },
  ],
];

/** All of them by name. */
export const clientCases: ReadonlyMap<string, ClientCase> = new Map([
  ...appendCases('batch', 'b'),
  ...appendCases('unary (per-call credentials)', 'u'),
  ...readCases,
  ...subscriptionCases,
]);

/** What a case gave its caller, in the recording's form: bigints end in n, an error is its class and fields. */
export async function clientOutcome(run: () => Promise<unknown>): Promise<unknown> {
  const result = await run().catch((error: unknown) => {
    if (!(error instanceof Error)) throw error;
    const { type, code, message, _raw, ...fields } = { ...error, message: error.message } as Record<string, unknown>;
    return { error: error.constructor.name, type, code, message, fields: { code, ...fields } };
  });
  const text = JSON.stringify(result, (_key, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value));
  return text === undefined ? undefined : (JSON.parse(text) as unknown);
}
