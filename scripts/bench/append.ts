/** Rows about appending to the log. */
import { createHash, randomUUID } from 'node:crypto';
import { canonicalJson } from '../../domain/codec.ts';
import type { NewEvent } from '../../domain/envelope.ts';
import { systemIds } from '../../infra/system.ts';
import { openStorage } from '../storage.ts';
import { openFloorTable, type RawEvent } from './floorTable.ts';
import { compare, rate, ratioAtLeast, type Report } from './measure.ts';
import type { Place } from './place.ts';

const TEXT =
  'The point is not the price alone, but what the choice makes easy and what it makes hard later on. '.repeat(2);

/** 1 event one at a time, 32 at once, and 100 a call 16 at once; floors: prepared INSERTs, and unnest, at the same concurrency. */
export async function appendRows(place: Place, report: Report): Promise<void> {
  const storage = await openStorage(place.settings, place.log);
  const floor = await openFloorTable(place, storage.database.pool, 32);
  const rounds = place.quick ? 1 : 5;
  const forMs = place.quick ? 700 : 1_500;
  const ours = (workers: number, perCall: number) => async () => {
    const streams = Array.from({ length: workers }, () => ({ name: `discussion-${systemIds.next()}`, revision: -1 }));
    return rate(workers, forMs, async (worker) => {
      const stream = streams[worker];
      if (stream === undefined) return 0;
      stream.revision = (await storage.store.append(stream.name, newEvents(perCall), stream.revision)).revision;
      return perCall;
    });
  };
  const raw = (workers: number, perCall: number) => async () => {
    const [sample] = newEvents(1);
    const event: RawEvent = {
      stream: `discussion-${systemIds.next()}`,
      type: 'MessagePosted',
      data: canonicalJson(sample?.data),
      metadata: canonicalJson(sample?.metadata),
    };
    const events = Array.from({ length: perCall }, () => event);
    return rate(workers, forMs, async () => {
      await (perCall === 1 ? floor.write(events) : floor.writeMany(events));
      return perCall;
    });
  };
  const row = (workers: number, perCall: number, least: number) => async () => {
    await raw(workers, perCall)();
    const result = await compare(rounds, ours(workers, perCall), raw(workers, perCall));
    return { ...result, unit: 'events/s', target: ratioAtLeast(least, result.ratio) };
  };
  try {
    await report('append: 1 event, one at a time', row(1, 1, 0.7));
    await report('append: 1 event, 32 concurrent', row(32, 1, 1.5));
    await report('append: 100 a call, 16 concurrent', row(16, 100, 0.7));
  } finally {
    await floor.close();
    await storage.close();
  }
}

/** One command's events: messages of 200 characters, under ids that cost the floor as much. */
function newEvents(count: number): NewEvent[] {
  const commandId = randomUUID();
  const metadata = {
    actor: { kind: 'user' as const, id: 'bench' },
    project: 'default',
    occurredAt: new Date().toISOString(),
    commandId,
    bodySha256: BODY,
    correlationId: commandId,
  };
  return Array.from({ length: count }, () => ({
    id: randomUUID(),
    type: 'MessagePosted',
    schemaVersion: 1,
    data: {
      messageId: randomUUID(),
      author: { userId: 'bench', name: 'Bench' },
      content: [{ type: 'text', text: TEXT }],
    },
    metadata,
  }));
}

const BODY = createHash('sha256').update('body').digest('hex');
