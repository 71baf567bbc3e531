/** Twenty discussions over a real cluster while a worker and an API are killed: nothing is lost, doubled or left open. */
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import { startClusterProcess, type ClusterProcess } from './clusterProcess.ts';
import { checkHeldWell, openHeld, postAll, registerAgents, sayUnended, SLOW_TURNS } from './heldWell.ts';
import { createVisitor, type Visitor } from './visitor.ts';

const DISCUSSIONS = 20;
const TURNS = 6;
const ENDED_WITHIN_MS = 150_000;

const test = suite('a cluster under fire');
let cluster: ClusterProcess | null = null;
test.after(async () => void (await cluster?.stop()));

test(
  'a worker and an API are killed and started again, and I1 to I8 hold',
  async () => {
    cluster = await startClusterProcess(['--api', '2', '--workers', '3'], SLOW_TURNS);
    assert.equal(
      cluster.names().filter((name) => !/^(eventstoredb|weaviate|ollama)$/.test(name)),
      ['postgres', 'nats', 'api-1', 'api-2', 'worker-1', 'worker-2', 'worker-3'],
    );
    const visitor = createVisitor(cluster.apis, cluster.token);
    const stop = new AbortController();
    const late = setTimeout(() => stop.abort(new Error('the discussions did not end in time')), ENDED_WITHIN_MS);
    let unended = (): Promise<void> => Promise.resolve();
    try {
      const agents = await registerAgents(visitor);
      const open = (from: number, to: number) =>
        Promise.all(
          Array.from({ length: to - from }, (_, i) =>
            openHeld(visitor, agents, { n: from + i, turns: TURNS }, stop.signal),
          ),
        );
      const held = await open(0, DISCUSSIONS / 2);
      await killAtWork(cluster, visitor, stop.signal);
      const posting = postAll(visitor, held);
      await cluster.kill('api-1');
      // Some are opened under fire, and go on while a worker is killed again.
      const later = await open(DISCUSSIONS / 2, DISCUSSIONS);
      await Promise.all([posting, killAtWork(cluster, visitor, stop.signal)]);
      held.push(...later);
      unended = () => sayUnended(visitor, held);
      const { events, abandoned, resumed, deltas } = await checkHeldWell(visitor, held);
      console.log(
        `${events} events, ${abandoned} attempts lost with their workers, ${resumed} streams resumed, ${deltas} deltas seen`,
      );
      assert.ok(abandoned > 0, 'a kill must have met an attempt under way');
      assert.ok(resumed > 0, 'a kill must have cut a stream');
      assert.ok(deltas > DISCUSSIONS * TURNS, 'viewers saw what workers of other processes wrote');
    } catch (error) {
      await unended().catch(() => undefined);
      throw error;
    } finally {
      clearTimeout(late);
      stop.abort();
    }
    assert.is(await cluster.stop(), 0, 'the cluster ends cleanly');
  },
  { deadlineMs: 230_000 },
);

test.run();

/** Kills a worker that has just claimed a turn. */
async function killAtWork(on: ClusterProcess, visitor: Visitor, signal: AbortSignal): Promise<void> {
  const claim = await visitor.next(({ type }) => type === 'TurnClaimed', signal);
  await on.kill(String(claim.data['worker']));
}
