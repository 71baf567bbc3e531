/** Processor time of processes, from /proc: Linux only. */
import { readdirSync, readFileSync } from 'node:fs';

/** Clock ticks a second, as Linux has them on every platform that Node runs on. */
const TICKS = 100;

/** Milliseconds that each named process and its children (PostgreSQL has one a connection) have used since their start. */
export function cpuTimesMs(processes: readonly { name: string; pid: number }[]): Map<string, number> {
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const stats = all.flatMap((pid) => statOf(Number(pid)));
  return new Map(
    processes.map(({ name, pid }) => {
      const own = stats.filter((each) => each.pid === pid || each.parent === pid);
      return [name, own.reduce((sum, each) => sum + each.ms, 0)];
    }),
  );
}

/** Nothing of a process that has ended meanwhile. */
function statOf(pid: number): { pid: number; parent: number; ms: number }[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name and may hold spaces: fields are counted behind its last bracket. CPU of
    // children that have ended counts for their parent.
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const ticks = [11, 12, 13, 14].reduce((sum, i) => sum + (fields[i] ?? 0), 0);
    return [{ pid, parent: fields[1] ?? 0, ms: (ticks * 1000) / TICKS }];
  } catch {
    return [];
  }
}
