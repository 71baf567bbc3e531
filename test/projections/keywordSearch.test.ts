/** Finding passages by their words. */
import * as assert from 'uvu/assert';
import type { Passage, PassageFilter } from '../../domain/meaning/vectorIndex.ts';
import { highlightsOf, keywordQueries } from '../../projections/search/keywordSearch.ts';
import { passages, passagesTable } from '../../projections/passages.ts';
import { columnName, recordsetColumns } from '../../projections/tables.ts';
import { aPassage, anId, passes, sampleWorld } from '../contracts/samplePassages.ts';
import { suite } from '../harness.ts';
import { createMemoryEventStore } from '../standins/memoryEventStore.ts';
import { applyAll, readModelDatabase, type ReadModelDatabase } from './readModelDatabase.ts';

const test = suite('keyword search');
let database: ReadModelDatabase;
test.before(async () => void (database = await readModelDatabase()));
test.before.each(async () => {
  await database.empty();
  await applyAll({ knex: database.knex, store: createMemoryEventStore(), projections: [passages] });
});
test.after(() => database.stop());

async function store(all: readonly Passage[]): Promise<void> {
  const columns = Object.keys(passagesTable.columns);
  await database.knex.raw(
    `insert into passages_v1 (${columns.map(columnName).join(', ')})
     select ${columns.map((column) => `"${column}"`).join(', ')} from json_to_recordset(?::json) as x(${recordsetColumns(passagesTable)})`,
    [JSON.stringify(all)],
  );
}

/** Stores texts, each under its own name. */
const say = (texts: Readonly<Record<string, string>>) =>
  store(Object.entries(texts).map(([name, text]) => aPassage(name, { text })));

async function search(query: string, filter: PassageFilter = { projects: null }, limit = 10) {
  return keywordQueries(database.knex).search({ query, filter, limit });
}

/** Texts found, best first. */
const found = async (query: string, limit = 10) =>
  (await search(query, { projects: null }, limit)).map(({ passage }) => passage.text);

const LICENCES = {
  patents: 'Each contributor grants you a patent licence for the work.',
  marks: 'This licence does not grant permission to use the trade names.',
  warranty: 'The work is provided without warranties of any kind.',
  tea: 'The kettle is on the stove, and tea is in the pot.',
  coffee: 'Coffee is for later. The work is done.',
};

test('questions in whole sentences find what has the most, and the rarest, of their words', async () => {
  await say(LICENCES);
  assert.is((await found('Does the licence grant patents by its contributors?'))[0], LICENCES.patents);
  assert.is((await found('Are there any warranties for the works?'))[0], LICENCES.warranty);
  assert.is((await found('Where is the KETTLE?'))[0], LICENCES.tea);
  assert.is((await found('Is it tea or coffee that works?')).length, 4, 'a small or is a word of the question');
  const hits = await search('Does the licence grant patents by its contributors?');
  assert.equal(
    hits.map(({ score }) => score).sort((a, b) => b - a),
    hits.map(({ score }) => score),
  );
  assert.ok(hits.every(({ score }) => score > 0));
  assert.equal(hits[0]?.passage, aPassage('patents', { text: LICENCES.patents }));
});

test('phrases in quotes, OR and a leading minus are taken as in web searches', async () => {
  await say(LICENCES);
  assert.equal(await found('"trade names"'), [LICENCES.marks]);
  assert.equal(await found('"names trade"'), []);
  assert.equal(await found('licence -patent'), [LICENCES.marks]);
  assert.equal((await found('kettle OR coffee')).sort(), [LICENCES.coffee, LICENCES.tea].sort());
  assert.equal(await found('-patent'), []);
});

test('nothing but stop words, signs or blanks finds nothing', async () => {
  await say(LICENCES);
  for (const query of [
    '',
    ' ',
    'the of and',
    '?!',
    '""',
    '"the"',
    '-',
    '- -',
    '"',
    'the OR of',
    '\u0000',
    '\ud800',
    '🫖',
  ])
    assert.equal(await found(query), [], JSON.stringify(query));
});

test('every filter holds, and no other project is ever found', async () => {
  const world = sampleWorld().map(({ passage }) => passage);
  await store(world);
  const filters: PassageFilter[] = [
    { projects: null },
    { projects: [] },
    { projects: ['project-1'] },
    { projects: ['project-0', 'project-2'], kinds: ['document'] },
    { projects: null, kinds: [] },
    { projects: null, agentId: 'agent-2' },
    { projects: ['project-1'], within: [] },
    {
      projects: ['project-1'],
      within: [
        { discussionId: 'd1', until: null },
        { discussionId: 'd4', until: 3 },
        { discussionId: 'd2', until: null },
      ],
    },
    {
      projects: null,
      except: [
        { discussionId: 'd1', from: 0 },
        { discussionId: 'd2', from: 12 },
      ],
    },
    { projects: null, except: [] },
    { projects: null, from: '2026-03-01T10:04:00Z', to: '2026-03-01T10:09:00Z' },
    { projects: null, from: '2026-03-01T12:04:00+02:00' },
  ];
  for (const filter of filters) {
    const expected = world.filter((passage) => passes(passage, filter)).map(({ text }) => text);
    for (const query of ['text', '"the text"']) {
      const hits = await search(query, filter, 1_000);
      assert.equal(hits.map(({ passage }) => passage.text).sort(), expected.sort(), JSON.stringify({ filter, query }));
    }
  }
});

test('ties come in the order of their ids, and the limit holds', async () => {
  await store(Array.from({ length: 700 }, (_, i) => aPassage(`${i}`, { text: 'All say the same.' })));
  const hits = await search('Who says the same?', { projects: null }, 700);
  const ids = hits.map(({ passage }) => passage.passageId);
  assert.equal(ids, Array.from({ length: 700 }, (_, i) => anId(`${i}`)).sort());
  assert.equal(
    (await search('Who says the same?', { projects: null }, 3)).map(({ passage }) => passage.passageId),
    ids.slice(0, 3),
  );
});

const STRANGE = [
  `it's "odd"`,
  `'; drop table passages_v1; --`,
  '{"a": [1]} }}',
  '\\',
  `\\' or 1=1`,
  '$1 ? ?? :name',
  "E'\\x41'",
  '<b>&amp;</b>',
  '%s %',
];

test('quotes, braces, backslashes and SQL are texts like any other, wherever they stand', async () => {
  await store(
    STRANGE.map((text, i) =>
      aPassage(text, { text: `${text} kettle`, project: text, discussionId: text, agentId: text, revision: i }),
    ),
  );
  for (const [i, text] of STRANGE.entries()) {
    const filter = {
      projects: [text],
      within: [{ discussionId: text, until: i }],
      except: [{ discussionId: `${text}x`, from: 0 }],
      agentId: text,
    };
    for (const query of ['kettle', `${text} kettle`]) {
      const hits = await search(query.replaceAll('"', ''), filter);
      assert.equal(
        hits.map(({ passage }) => passage.text),
        [`${text} kettle`],
        text,
      );
    }
    await search(text, filter);
    assert.equal(await search('kettle', { projects: [`${text} `] }), []);
    assert.equal(await search('kettle', { ...filter, agentId: 'x' }), []);
  }
  assert.is((await search('kettle', { projects: null })).length, STRANGE.length);
});

test('a long query is read as far as 2,000 characters, and its first words count', async () => {
  await say({ ...LICENCES, far: 'Elsewhere.' });
  const long = `kettle ${'unheard of things '.repeat(60_000)} elsewhere`;
  assert.equal(await found(long), [LICENCES.tea]);
  const many = `kettle ${Array.from({ length: 300 }, (_, i) => `w${i}`).join(' ')}`;
  assert.equal(await found(many), [LICENCES.tea]);
  assert.equal(await highlightsOf(database.knex, long, [LICENCES.tea]), [[[4, 10]]]);
});

test('scripts without spaces are searched by their characters', async () => {
  await say({ weather: '今日は良い天気です。', tea: 'お茶を飲みます。', mixed: '주전자가 끓는다 and the tea' });
  assert.equal(await found('"天気"'), ['今日は良い天気です。']);
  assert.is((await found('お茶'))[0], 'お茶を飲みます。');
  assert.equal(await found('"주전자"'), ['주전자가 끓는다 and the tea']);
  assert.equal(await highlightsOf(database.knex, '天気', ['🫖 今日は良い天気です。', '天 気']), [
    [[8, 10]],
    [
      [0, 1],
      [2, 3],
    ],
  ]);
});

test('highlights are the words with the same stem, counted in UTF-16 units', async () => {
  const marked = async (query: string, text: string) => {
    const [ranges] = await highlightsOf(database.knex, query, [text]);
    return ranges?.map(([from, to]) => text.slice(from, to));
  };
  assert.equal(await marked('Which licence grants patents?', '🫖🫖 A Patent 👩‍👩‍👧‍👦, granted; licences\n  GRANTING'), [
    'Patent',
    'granted',
    'licences',
    'GRANTING',
  ]);
  assert.equal(await marked('patent', 'a\ue000patent \ue001\ue000 b'), ['patent']);
  assert.equal(await marked('<b>bold</b> words', 'see <b>bold</b>, http://a.org/words and well-words'), [
    'bold',
    'words',
  ]);
  assert.equal(await marked('the of', 'the of'), []);
  assert.equal(await marked('"trade names" -kettle', 'names of a trade'), ['names', 'trade']);
  assert.equal(await highlightsOf(database.knex, 'tea', []), []);
  assert.equal(await highlightsOf(database.knex, 'tea', ['', 'tea', 'no', 'two  teas']), [[], [[0, 3]], [], [[5, 9]]]);
  for (const text of STRANGE) assert.equal(await marked('kettle', `${text} kettle ${text}`), ['kettle'], text);
});

test('an aborted search is not begun', async () => {
  const reason = new Error('nobody waits');
  const options = { signal: AbortSignal.abort(reason) };
  const asked = keywordQueries(database.knex).search({ query: 'tea', filter: { projects: null }, limit: 1 }, options);
  assert.is(
    await asked.then(
      () => null,
      (error: unknown) => error,
    ),
    reason,
  );
});

test.run();
