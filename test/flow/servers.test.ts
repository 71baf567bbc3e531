/** Every server under a cluster fails in turn, in the middle of discussions: afterwards nothing is lost, doubled or open. */
import { readFile, rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import { startClusterProcess, type ClusterProcess } from './clusterProcess.ts';
import { checkHeldWell, openHeld, postAll, registerAgents, SLOW_TURNS, type Held } from './heldWell.ts';
import { createVisitor } from './visitor.ts';

const AT_ONCE = 2;
const TURNS = 5;
const FROZEN_MS = { nats: 10_000, eventstoredb: 5_000 };
const ENDED_WITHIN_MS = 180_000;

const test = suite('the servers under a cluster');
let cluster: ClusterProcess | null = null;
test.after(async () => void (await cluster?.stop()));

const faults: Readonly<Record<string, (on: ClusterProcess) => Promise<void>>> = {
  'NATS is killed and has lost everything': wipeNats,
  'NATS is frozen': (on) => freeze(on, 'nats', FROZEN_MS.nats),
  'PostgreSQL is killed': (on) => on.kill('postgres'),
  'the log is killed': (on) => on.kill('eventstoredb'),
  'the log is frozen': (on) => freeze(on, 'eventstoredb', FROZEN_MS.eventstoredb),
  nothing: () => Promise.resolve(),
};

test(
  'NATS, PostgreSQL and the log are killed and frozen, and I1 to I8 hold',
  async () => {
    cluster = await startClusterProcess(['--api', '2', '--workers', '2'], SLOW_TURNS);
    const visitor = createVisitor(cluster.apis, cluster.token);
    const stop = new AbortController();
    const late = setTimeout(() => stop.abort(new Error('the discussions did not end in time')), ENDED_WITHIN_MS);
    try {
      const agents = await registerAgents(visitor);
      let n = 0;
      let deltas = 0;
      const all: Held[] = [];
      for (const [name, fault] of Object.entries(faults)) {
        // A server of EVENTSTORE_URL is somebody else's.
        if (name.startsWith('the log') && !cluster.names().includes('eventstoredb')) {
          console.log(`left out: ${name}: the server of EVENTSTORE_URL is not ours`);
          continue;
        }
        const startedAt = performance.now();
        const claimed = visitor.next(({ type }) => type === 'TurnClaimed', stop.signal);
        const opening = Array.from({ length: AT_ONCE }, () =>
          openHeld(visitor, agents, { n: n++, turns: TURNS }, stop.signal),
        );
        const held = await Promise.all(opening);
        all.push(...held);
        await claimed;
        // Somebody speaks while it is away: it is taken once, or refused.
        await Promise.all([fault(cluster), postAll(visitor, held)]);
        for (const { seen } of held) deltas = (await seen).deltas;
        console.log(`${name}: ended after ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
      }
      const found = await checkHeldWell(visitor, all);
      console.log(`${found.events} events, ${found.abandoned} attempts abandoned, ${found.resumed} streams resumed`);
      assert.ok(deltas > TURNS, 'viewers see again what workers of other processes write');
    } finally {
      clearTimeout(late);
      stop.abort();
    }
    assert.is(await cluster.stop(), 0, 'the cluster ends cleanly');
  },
  { deadlineMs: 230_000 },
);

test.run();

async function wipeNats(on: ClusterProcess): Promise<void> {
  const pid = on.pidOf('nats');
  const args = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0');
  const folder = args[args.indexOf('-sd') + 1] ?? '';
  assert.match(folder, /colloquy-cluster-.+nats$/);
  // Stopped first: it is started again at once when it has died, and must find nothing then.
  process.kill(pid, 'SIGSTOP');
  await rm(folder, { recursive: true });
  await on.kill('nats');
}

async function freeze(on: ClusterProcess, name: string, ms: number): Promise<void> {
  const pid = on.pidOf(name);
  process.kill(pid, 'SIGSTOP');
  try {
    await delay(ms);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}
