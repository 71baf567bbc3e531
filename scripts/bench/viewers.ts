/** A process of its own with many viewers of one stream. Told which by its parent; answers when each event came. */
import { get } from 'node:http';
import { sharedNowMs } from './measure.ts';

export interface Viewing {
  readonly port: number;
  readonly path: string;
  readonly token: string;
  readonly viewers: number;
  /** How many events each viewer is to see, after `caught-up`. */
  readonly events: number;
}

export interface Seen {
  /** Per viewer, milliseconds of `sharedNowMs` at which it read each event, in order. */
  readonly seenAtMs: readonly (readonly number[])[];
  readonly failed: string;
}

/** Opened a few at a time: a thousand at once overflow the listen queue. */
const OPENING_AT_ONCE = 50;
const WAIT_MS = 45_000;

interface Viewer {
  readonly times: number[];
  last: number;
}

function open(viewing: Viewing, viewer: Viewer): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = viewing.token === '' ? {} : { Authorization: `Bearer ${viewing.token}` };
    const request = get({ port: viewing.port, host: '127.0.0.1', path: viewing.path, headers, agent: false }, (res) => {
      if (res.statusCode !== 200) return reject(new Error(`a viewer was answered ${res.statusCode}`));
      let rest = '';
      let live = false;
      res.setEncoding('utf8').on('data', (text: string) => {
        const now = sharedNowMs();
        const frames = (rest + text).split('\n\n');
        rest = frames.pop() ?? '';
        for (const frame of frames) {
          if (live && frame.startsWith('id: ')) note(viewer, frame, now);
          if (frame.startsWith('event: caught-up')) resolve(void (live = true));
        }
      });
    });
    request.on('error', reject);
  });
}

function note(viewer: Viewer, frame: string, now: number): void {
  const id = Number(/^id: (\d+)/.exec(frame)?.[1]);
  // A gap or a repetition is a fault of the stream, and would shift all figures.
  if (viewer.last >= 0 && id !== viewer.last + 1) throw new Error(`event ${id} came after ${viewer.last}`);
  viewer.last = id;
  viewer.times.push(now);
}

async function watch(viewing: Viewing, viewers: readonly Viewer[]): Promise<void> {
  for (let i = 0; i < viewers.length; i += OPENING_AT_ONCE)
    await Promise.all(viewers.slice(i, i + OPENING_AT_ONCE).map((viewer) => open(viewing, viewer)));
}

let viewers: Viewer[] = [];
let expected = 0;

function answer(failed: string): void {
  process.send?.({ seenAtMs: failed === '' ? viewers.map(({ times }) => times) : [], failed });
}

process.on('uncaughtException', (error) => answer(String(error)));
process.on('message', (message) => {
  if (message === 'done?') {
    const asked = performance.now();
    const look = () => {
      if (viewers.every(({ times }) => times.length >= expected)) return answer('');
      if (performance.now() - asked > WAIT_MS) return answer('not every viewer saw every event');
      setTimeout(look, 20);
    };
    return look();
  }
  const viewing = message as Viewing;
  expected = viewing.events;
  viewers = Array.from({ length: viewing.viewers }, () => ({ times: [], last: -1 }));
  watch(viewing, viewers).then(
    () => process.send?.({ seenAtMs: [], failed: '' }),
    (error: unknown) => answer(String(error)),
  );
});
