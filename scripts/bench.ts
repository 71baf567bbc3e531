/**
 * `npm run bench -- [groups…] [--only embedded|postgres] [--quick]`: every figure beside its raw floor of the same run.
 * Runs of their own: `--cluster`, `--search [--only embedded|postgres|weaviate]`, `--search-quality`, `--search-rebuild [--only postgres|weaviate]`.
 */
import { parseArgs } from 'node:util';
import { environmentWith } from '../test/services.ts';
import { appendRows } from './bench/append.ts';
import { clusterRows } from './bench/cluster.ts';
import { within, type Report } from './bench/measure.ts';
import { describeServer, openPlace, type Place } from './bench/place.ts';
import { projectionRows } from './bench/projections.ts';
import { rebuildRows } from './bench/rebuild.ts';
import { eventStoreRows } from './bench/rebuildEventStore.ts';
import { restRows } from './bench/rest.ts';
import { searchRows } from './bench/search.ts';
import { qualityRows } from './bench/searchQualityRows.ts';
import { searchRebuildRows } from './bench/searchRebuild.ts';
import { sseRows } from './bench/sse.ts';
import { storageRows } from './bench/storedBytes.ts';
import { longRows } from './bench/longDiscussion.ts';
import { machine, tableOf, type Line } from './bench/table.ts';
import { turnRows } from './bench/turns.ts';

const groups: Readonly<Record<string, (place: Place, report: Report) => Promise<void>>> = {
  append: appendRows,
  turns: turnRows,
  storage: storageRows,
  long: longRows,
  projections: projectionRows,
  rebuild: rebuildRows,
  'rebuild-eventstoredb': eventStoreRows,
  rest: restRows,
  sse: sseRows,
};

const ROW_MS = 180_000;
const GROUP_MS = 420_000;
const STOP_MS = 30_000;

/** Runs the groups asked for in the databases there are. */
async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      only: { type: 'string' },
      cluster: { type: 'boolean', default: false },
      search: { type: 'boolean', default: false },
      'search-quality': { type: 'boolean', default: false },
      'search-rebuild': { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
    },
  });
  const unknown = positionals.filter((name) => groups[name] === undefined);
  const places = ['embedded', 'postgres', ...(values.search || values['search-rebuild'] ? ['weaviate'] : [])];
  if (unknown.length > 0 || (values.only !== undefined && !places.includes(values.only)))
    throw new Error(
      `usage: bench [${Object.keys(groups).join('|')} …] [--only ${places.join('|')}] [--cluster|--search|--search-quality|--search-rebuild] [--quick]`,
    );
  const wanted = positionals.length > 0 ? positionals : Object.keys(groups);
  const env = environmentWith({});
  const server = env['TEST_DATABASE_URL'] ?? env['DATABASE_URL'] ?? null;
  if (values.only === 'postgres' && server === null) throw new Error('set TEST_DATABASE_URL or DATABASE_URL');
  const lines: Line[] = [];
  const notes = [machine()];
  if (values.cluster) {
    await clusterRows(reporting('cluster', lines), values.quick);
    return finish(notes, lines);
  }
  const { only, quick } = values;
  if (values.search) {
    const found = await searchRows({ server, only, quick, reporting: (place) => reporting(place, lines) });
    notes.push(...found);
    return finish(notes, lines);
  }
  if (values['search-rebuild']) {
    for (const store of ['postgres', 'weaviate'] as const)
      if (only === undefined || only === store) await searchRebuildRows(store, reporting(store, lines));
    return finish(notes, lines);
  }
  if (values['search-quality']) {
    await qualityRows(only === 'embedded' ? null : server, (place) => reporting(place, lines));
    return finish(notes, lines);
  }
  if (values.only !== 'postgres') {
    notes.push('embedded: PGlite, durable, in a thread');
    await runAll('embedded', null, wanted, values.quick, lines);
  }
  if (values.only !== 'embedded' && server !== null) {
    notes.push(`postgres: ${await describeServer(server)}`);
    await runAll('postgres', server, wanted, values.quick, lines);
  }
  finish(notes, lines);
}

function finish(notes: readonly string[], lines: readonly Line[]): void {
  console.log([...notes, '', tableOf(lines)].join('\n'));
  process.exitCode = lines.every(({ result }) => !('failed' in result)) ? 0 : 1;
}

/** A failed row is told, and the run goes on. */
function reporting(place: string, lines: Line[]): Report {
  return async (name, work) => {
    console.error(`${place}  ${name} …`);
    const result = await within(ROW_MS, work()).catch((error: unknown) => {
      const failed = error instanceof Error ? error.message : String(error);
      console.error(`${place}  ${name}: failed: ${failed}`);
      return { failed };
    });
    // Said at once: a run that is cut short has measured what it has measured.
    if ('ours' in result) console.error(`${place}  ${name}: ${result.ours.toFixed(2)} ${result.unit}`);
    lines.push({ place, name, result });
  };
}

async function runAll(
  name: string,
  server: string | null,
  wanted: readonly string[],
  quick: boolean,
  lines: Line[],
): Promise<void> {
  for (const group of wanted) {
    const report = reporting(name, lines);
    let place: Place | null = null;
    try {
      place = await within(STOP_MS, openPlace(server, quick));
      await within(GROUP_MS, groups[group]?.(place, report) ?? Promise.resolve());
    } catch (error) {
      await report(group, () => Promise.reject(error instanceof Error ? error : new Error(String(error))));
    } finally {
      await within(STOP_MS, place?.stop() ?? Promise.resolve()).catch((error: unknown) => console.error(error));
    }
  }
}

await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
});
// What a failed row left behind must not keep the process.
process.exit();
