/** Whether the Weaviate that is here answers as the one that was recorded, on which the adapter was built. */
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import { NO_WEAVIATE, weaviateProgramForTests } from '../services.ts';
import { difference, plainRows, spelledOut, type WeaviateRow, withIdsIn } from '../standins/weaviateRecordings.ts';
import { startWeaviateServer, type WeaviateServer } from '../weaviateServer.ts';

/** What is not compared, and why. */
const LEFT_OUT: readonly (readonly [RegExp, string])[] = [
  [/^(property: (text of|field value)|batch: 40 MiB|bm25: query of 1 MB)/, 'large, and recorded in words'],
  [/^schema: (least class|put,)|^batch: fields|^alias: Get at once/, 'the recording shortens it'],
  [/^alias: (batch through|delete by filter through)|schema list/, 'the recording shortens what came before it'],
  [/^without class: (get by id that is in|delete by id)/, 'which class answers is chance'],
  [/^tenants: (list$|object with tenant in a class without)/, 'in any order, or recorded in words'],
  [/^batch: mixed lengths as the first/, 'which length wins is chance'],
  [
    /^search: (zero vector|class in lower case)|^bm25: one word|^delete by filter: dryRun, verbose/,
    'ties and parts of texts in any order',
  ],
  [/^graphql while no class|^search: variables/, 'an error of another shape on the wire than in the recording'],
];

const program = weaviateProgramForTests();
if (program === null) console.log(`left out: Weaviate beside its recordings: ${NO_WEAVIATE}`);
else vectors(program);

function vectors(found: { path: string; origin: string }): void {
  const test = suite('vectors of Weaviate');
  let server: WeaviateServer;
  test.before(async () => {
    server = await startWeaviateServer(found, { QUERY_DEFAULTS_LIMIT: '25' });
  });
  test.after(() => server.stop());

  test(
    'answers as recorded',
    async () => {
      const rows = plainRows();
      const wrong: string[] = [];
      for (const row of rows) {
        // Sent all the same: later rows build upon it.
        const differs = await sentAgain(server.url, row, rows);
        if (differs !== null && !LEFT_OUT.some(([name]) => name.test(row.name))) wrong.push(`${row.name}: ${differs}`);
      }
      assert.equal(wrong, []);
      for (const [name, why] of LEFT_OUT) {
        const names = rows.filter((row) => name.test(row.name)).map((row) => row.name);
        console.log(`left out of the vectors, ${why}: ${names.join(' · ')}`);
      }
    },
    { deadlineMs: 180_000 },
  );
  test.run();
}

async function sentAgain(
  url: string,
  { sent, got }: WeaviateRow,
  rows: readonly WeaviateRow[],
): Promise<string | null> {
  const created = rows.find(({ name }) => name === 'schema: create A1')?.sent;
  const classBody = Array.isArray(created) ? (created[2] as object) : {};
  const [method, path, body] = Array.isArray(sent) ? sent : ['POST', '/v1/graphql', { query: sent.gql }];
  const given = spelledOut(body, classBody);
  const raw = typeof body === 'object' && body !== null && 'raw' in body ? withIdsIn(String(body.raw)) : null;
  const answer = await fetch(url + withIdsIn(String(path)), {
    method: String(method),
    headers: { 'content-type': 'application/json' },
    body: body === undefined || body === null ? null : (raw ?? JSON.stringify(given)),
  });
  const text = await answer.text();
  const [status, recorded] = Array.isArray(got) ? (got as unknown[]) : [];
  if (status !== answer.status) return `${answer.status} instead of ${String(status)}: ${text.slice(0, 200)}`;
  if (recorded === undefined) return null;
  const actual: unknown = text === '' ? undefined : JSON.parse(text);
  return difference(recorded, Array.isArray(sent) ? actual : unwrapped(actual));
}

/** As it was recorded: data without its wrapper, errors as their messages. */
function unwrapped(answer: unknown): unknown {
  const { data, errors } = answer as { data?: { Get?: object; Aggregate?: object }; errors?: { message: string }[] };
  return { ...(data?.Get ?? data?.Aggregate), ...(errors && { errors: errors.map(({ message }) => message) }) };
}
