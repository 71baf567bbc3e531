/** The raw floors of the cluster's rows: the same servers, asked by their own clients. */
import { randomUUID } from 'node:crypto';
import { EventStoreDBClient, jsonEvent, NO_STREAM } from '@eventstore/db-client';
import { AckPolicy, connect, type JsMsg, RetentionPolicy } from 'nats';
import pg from 'pg';
import type { Cluster } from '../cluster/cluster.ts';
import { rate, sharedNowMs } from './measure.ts';

const FOR_MS = 3_000;
const TIMEOUT_MS = 10_000;
/** About what a turn's events hold. */
const BODY = { text: 'x'.repeat(900) };

/** Turns a second that would be possible if a turn were two appends to the cluster's log and nothing else. */
export function logFloor({ servers }: Cluster, writers: number): Promise<number> {
  return servers.eventStore === ''
    ? tableFloor(servers.database, writers)
    : eventStoreFloor(servers.eventStore, writers);
}

/** Two transactions a turn: one row, then two. As many connections as the cluster's workers have at most. */
async function tableFloor(connectionString: string, writers: number): Promise<number> {
  const pool = new pg.Pool({ connectionString, max: Math.min(writers, 30), query_timeout: TIMEOUT_MS });
  try {
    await pool.query('create table if not exists floor (id bigserial primary key, data text not null)');
    const data = JSON.stringify(BODY);
    return await rate(writers, FOR_MS, async () => {
      await pool.query('insert into floor (data) values ($1)', [data]);
      await pool.query('insert into floor (data) values ($1), ($1)', [data]);
      return 1;
    });
  } finally {
    await pool.query('drop table if exists floor');
    await pool.end();
  }
}

async function eventStoreFloor(url: string, writers: number): Promise<number> {
  const client = EventStoreDBClient.connectionString(url);
  try {
    const streams = Array.from({ length: writers }, () => ({ name: `floor-${randomUUID()}`, revision: -1n }));
    const append = async (stream: { name: string; revision: bigint }, count: number) => {
      const events = Array.from({ length: count }, () => jsonEvent({ type: 'Floor', data: BODY }));
      const expectedRevision = stream.revision < 0n ? NO_STREAM : stream.revision;
      const credentials = { username: 'floor', password: 'floor' };
      await client.appendToStream(stream.name, events, { expectedRevision, credentials });
      stream.revision += BigInt(count);
    };
    return await rate(writers, FOR_MS, async (writer) => {
      const stream = streams[writer];
      if (stream === undefined) return 0;
      await append(stream, 1);
      await append(stream, 2);
      return 1;
    });
  } finally {
    await Promise.race([client.dispose(), new Promise((resolve) => setTimeout(resolve, 2_000))]);
  }
}

/** Milliseconds of messages through a JetStream work queue, one at a time. */
export async function wakeUpFloor(url: string, count: number): Promise<number[]> {
  const connection = await connect({ servers: url, timeout: TIMEOUT_MS });
  const name = `floor-${randomUUID()}`;
  try {
    const manager = await connection.jetstreamManager({ timeout: TIMEOUT_MS });
    await manager.streams.add({ name, subjects: [name], retention: RetentionPolicy.Workqueue });
    await manager.consumers.add(name, { durable_name: name, ack_policy: AckPolicy.Explicit });
    const stream = connection.jetstream({ timeout: TIMEOUT_MS });
    let came = (): void => undefined;
    const callback = (message: JsMsg) => {
      message.ack();
      came();
    };
    const messages = await (await stream.consumers.get(name, name)).consume({ max_messages: 10, callback });
    const tookMs: number[] = [];
    for (let i = 0; i < count; i += 1) {
      const arrived = new Promise<void>((resolve) => (came = resolve));
      const started = sharedNowMs();
      await Promise.all([arrived, stream.publish(name)]);
      tookMs.push(sharedNowMs() - started);
    }
    await messages.close();
    await manager.streams.delete(name);
    return tookMs;
  } finally {
    await connection.close();
  }
}
