/** A process of its own that asks for one resource over and over on kept-alive connections. Told what by its parent. */
import { connect } from 'node:net';
import { percentile } from './measure.ts';

export interface Load {
  readonly port: number;
  readonly path: string;
  readonly token: string;
  readonly connections: number;
  readonly forMs: number;
}

export interface LoadDone {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Why it gave up; empty when it did not. */
  readonly failed: string;
}

/** One connection: the next request goes out when the answer to the last one is complete. */
function ask(load: Load, until: number, latencies: number[]): Promise<void> {
  const request =
    `GET ${load.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\n` +
    `Authorization: Bearer ${load.token}\r\nAccept: application/json\r\n\r\n`;
  return new Promise((resolve, reject) => {
    const socket = connect(load.port, '127.0.0.1');
    let gathered = '';
    let sentAt = performance.now();
    const next = () => {
      sentAt = performance.now();
      if (sentAt >= until) return resolve(void socket.destroy());
      socket.write(request);
    };
    socket.setNoDelay(true).setEncoding('latin1').on('connect', next).on('error', reject);
    socket.on('close', () => reject(new Error('the server closed a connection')));
    socket.on('data', (text: string) => {
      gathered += text;
      const head = gathered.indexOf('\r\n\r\n');
      if (head < 0) return;
      if (!gathered.startsWith('HTTP/1.1 200 ')) return reject(new Error(gathered.slice(0, 300)));
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(gathered)?.[1]);
      if (!Number.isFinite(length)) return reject(new Error('an answer without Content-Length'));
      if (gathered.length < head + 4 + length) return;
      gathered = '';
      latencies.push(performance.now() - sentAt);
      next();
    });
  });
}

process.once('message', (message) => {
  const load = message as Load;
  const latencies: number[] = [];
  const started = performance.now();
  const loops = Array.from({ length: load.connections }, () => ask(load, started + load.forMs, latencies));
  const done = (failed: string) => {
    const perSecond = (latencies.length * 1000) / (performance.now() - started);
    process.send?.({ perSecond, p50Ms: percentile(latencies, 50), p99Ms: percentile(latencies, 99), failed });
  };
  Promise.all(loops).then(
    () => done(''),
    (error: unknown) => done(String(error)),
  );
});
