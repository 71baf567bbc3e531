/** Rows about whether a turn gets slower as its discussion grows. */
import { gapsOf, startBench } from './discussions.ts';
import { percentile, type Report } from './measure.ts';
import type { Place } from './place.ts';

const AROUND = 200;
/** How much slower a late turn may be than an early one: what is left to noise. */
const SLOWER = 1.25;

/** Turn 10 against turn 5,000 (1,000 when quick) of one discussion: p50 over 200 turns around each. */
export async function longRows(place: Place, report: Report): Promise<void> {
  const late = place.quick ? 1_000 : 5_000;
  const bench = await startBench(place, 400);
  try {
    // Else the first turns are slow because the code is cold.
    await bench.hold(1, 300);
    await report(`turn ${late.toLocaleString('en')} against turn 10: p50`, async () => {
      const { endedAtMs } = await bench.hold(1, late + AROUND / 2);
      const gaps = gapsOf(endedAtMs[0] ?? []);
      const [early, end] = [percentile(gaps.slice(10, 10 + AROUND), 50), percentile(gaps.slice(-AROUND), 50)];
      const ratio = end / early;
      return {
        unit: 'ms',
        ours: end,
        floor: early,
        ratio,
        target: { says: `≤ ${SLOWER} × turn 10`, holds: ratio <= SLOWER },
        note: 'the floor is turn 10',
      };
    });
  } finally {
    await bench.stop();
  }
}
