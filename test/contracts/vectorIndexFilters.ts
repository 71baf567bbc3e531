/** What every adapter of the VectorIndex port lets through its filters. */
import * as assert from 'uvu/assert';
import type { PassageFilter } from '../../domain/meaning/vectorIndex.ts';
import { aPassage, aVector, idsOf, minute, passes, randoms, sampleWorld } from './samplePassages.ts';
import type { VectorTests } from './vectorIndex.ts';

const LONG = { deadlineMs: 120_000 };
const never = (): AbortSignal => new AbortController().signal;

/** Adds the tests of filters, and of texts in them. */
export function vectorIndexFilters(on: VectorTests): void {
  filters(on);
  texts(on);
}

const NASTY = [
  `it's "quoted" \\ back\\\\slashed \\" and $1 $$ %s ?`,
  '{a: [b]} }} ) { _additional { id } }',
  `'; drop table events; --`,
  `') or 1=1 --`,
  'a"}]}) { Get { Other { text } } } #',
  'Grüße, 東京, 🦉, ŉ́, \u202eright to left, \u2028',
  'null',
  '%_*?[x]',
  'line\nbreak\tand tab',
];

function filters({ test, index, filled }: VectorTests): void {
  const world = sampleWorld();
  const single: Omit<PassageFilter, 'projects'>[] = [
    { within: [{ discussionId: 'd0', until: null }] },
    { within: [{ discussionId: 'd0', until: 5 }] },
    {
      within: [
        { discussionId: 'd0', until: 5 },
        { discussionId: 'd1', until: null },
        { discussionId: 'd3', until: 0 },
      ],
    },
    {
      within: [
        { discussionId: 'd0', until: -1 },
        { discussionId: 'nowhere', until: null },
      ],
    },
    { within: [] },
    { except: [{ discussionId: 'd0', from: 3 }] },
    {
      except: [
        { discussionId: 'd0', from: 0 },
        { discussionId: 'd5', from: 19 },
        { discussionId: 'nowhere', from: 0 },
      ],
    },
    { except: [] },
    { kinds: ['document'] },
    { kinds: ['message'] },
    { kinds: ['message', 'document'] },
    { kinds: [] },
    { agentId: 'agent-1' },
    { agentId: 'AGENT-1' },
    { from: minute(10) },
    { to: minute(10) },
    { from: minute(3), to: minute(4) },
    { from: minute(4), to: minute(4) },
    { from: '2026-03-01T12:10:00+02:00', to: '2026-03-01T12:12:00.001+02:00' },
  ];
  const projects = [null, ['project-0'], ['project-0', 'project-2'], ['project-1', 'nobody'], ['nobody'], []];

  test(
    'every filter finds exactly what passes it, alone and with others',
    async () => {
      const version = await filled(world, true);
      const random = randoms(20);
      const any = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)];
      const several = (): PassageFilter => ({
        projects: any(projects) ?? null,
        ...any(single),
        ...any(single),
        ...any(single),
      });
      const all: PassageFilter[] = [
        ...projects.map((one) => ({ projects: one })),
        ...single.map((one) => ({ projects: null, ...one })),
        ...Array.from({ length: 60 }, several),
      ];
      let found = 0;
      for (const filter of all) {
        const vector = aVector(random);
        const hits = await index().search(version, { vector, filter, limit: 1_000 }, { signal: never() });
        const expected = world.filter(({ passage }) => passes(passage, filter));
        assert.equal(idsOf(hits).sort(), idsOf(expected).sort(), JSON.stringify(filter));
        for (const [at, { score }] of hits.entries()) assert.ok(score <= (hits[at - 1]?.score ?? 2), 'best first');
        found += hits.length;
      }
      assert.ok(found > 1_000, `${found} found`);
    },
    LONG,
  );

  test('a project is never let through for another, however near it is', async () => {
    const vector = aVector(randoms(21));
    const objects = ['a', 'A', 'a b', 'b'].flatMap((project) =>
      Array.from({ length: 20 }, (_, i) => ({ passage: aPassage(`${project} ${i}`, { project }), vector })),
    );
    const version = await filled(objects, true);
    for (const project of ['a', 'A', 'a b', 'b']) {
      const wanted = { vector, filter: { projects: [project] }, limit: 100 };
      const hits = await index().search(version, wanted, { signal: never() });
      assert.equal(
        hits.map(({ passage }) => passage.project),
        new Array<string>(20).fill(project),
      );
    }
  });
}

function texts({ test, index, filled }: VectorTests): void {
  test(
    'every text comes back as it was and is compared as it is, whatever it looks like',
    async () => {
      const random = randoms(22);
      const objects = NASTY.map((text, i) => {
        const fields = { project: text, discussionId: text, agentId: text, stream: text, eventId: text, revision: i };
        return { passage: aPassage(`nasty ${i}`, { ...fields, text: `  ${text}\n ` }), vector: aVector(random) };
      });
      const long = aPassage('long', { text: `${'Ω'.repeat(4_000)}${'\n"\\{}\t'.repeat(1_000)}`, agentId: null });
      const version = await filled([...objects, { passage: long, vector: aVector(random) }]);
      const vector = aVector(random);
      const search = (filter: PassageFilter) =>
        index().search(version, { vector, filter, limit: 50 }, { signal: never() });
      for (const [i, text] of NASTY.entries()) {
        const within = [{ discussionId: text, until: null }];
        const except = [{ discussionId: `${text}x`, from: 0 }];
        for (const filter of [
          { projects: [text] },
          { projects: null, agentId: text },
          { projects: null, within, except },
        ])
          assert.equal(
            (await search(filter)).map(({ passage }) => passage),
            [objects[i]?.passage],
            text,
          );
        assert.equal(await search({ projects: [`${text}x`] }), []);
        const others = await search({ projects: null, except: [{ discussionId: text, from: 0 }] });
        assert.is(others.length, NASTY.length, text);
      }
      const [hit] = await search({ projects: ['default'] });
      assert.equal(hit?.passage, long);
    },
    LONG,
  );
}
