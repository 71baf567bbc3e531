/** The row about a point read over REST. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import express from 'express';
import type pg from 'pg';
import { registerAgent, registerAgentSchema } from '../../commands/registerAgent.ts';
import { startService } from '../service.ts';
import { askedBy } from './discussions.ts';
import type { Load, LoadDone } from './load.ts';
import { compare, type Report } from './measure.ts';
import type { Place } from './place.ts';

const CONNECTIONS = 32;
const LOAD_MS = 60_000;

/** GET /api/v1/agents/{id} with a token through the whole service; floor: bare express and pg on the same table. */
export async function restRows(place: Place, report: Report): Promise<void> {
  const service = await startService(place.settings, place.log, { nextFreePort: true });
  const { engine, storage, reads } = service.running;
  try {
    const body = registerAgentSchema.parse({
      name: 'Ada',
      instructions: 'You are a careful engineer.',
      model: { provider: 'offline', name: 'offline' },
    });
    const { id, position } = await registerAgent(engine, body, askedBy(engine));
    await reads.waitFor(position, ['agents'], { timeoutMs: 10_000, signal: new AbortController().signal });
    const bare = await startBare(storage.database.pool);
    const forMs = place.quick ? 1_000 : 4_000;
    const paths = { ours: `/api/v1/agents/${id}`, bare: `/${id}` };
    const ours = { port: service.port, path: paths.ours, token: service.token, connections: CONNECTIONS, forMs };
    const floor = { ...ours, port: bare.port, path: paths.bare };
    try {
      await report('REST: point read, 32 connections', async () => {
        const latencies: string[] = [];
        await load({ ...ours, forMs: 500 });
        const result = await compare(
          place.quick ? 1 : 3,
          async () => {
            const { perSecond, p50Ms, p99Ms } = await load(ours);
            latencies.push(`p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms`);
            return perSecond;
          },
          async () => (await load(floor)).perSecond,
        );
        return { ...result, unit: 'requests/s', note: latencies.at(-1) ?? '' };
      });
    } finally {
      bare.stop();
    }
  } finally {
    await service.stop();
  }
}

async function startBare(pool: pg.Pool): Promise<{ port: number; stop(): void }> {
  const app = express();
  app.get('/:id', async (req, res) => {
    const { rows } = await pool.query<Record<string, unknown>>('select * from agents_v1 where id = $1', [
      req.params.id,
    ]);
    res.json(rows[0]);
  });
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Sends the load from another process, so that it does not share our event loop. */
async function load(what: Load): Promise<LoadDone> {
  const child = fork(new URL('load.ts', import.meta.url), { timeout: LOAD_MS });
  try {
    child.send(what);
    const [message] = (await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(() => Promise.reject(new Error('the load generator ended early'))),
    ])) as [LoadDone];
    if (message.failed !== '') throw new Error(message.failed);
    return message;
  } finally {
    child.kill();
  }
}
