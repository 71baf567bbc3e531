/** The search of the API over a service's own log and read models, with a model and a store under the test's hand. */
import * as assert from 'uvu/assert';
import type { ApiContext } from '../../api/context.ts';
import { searchRoutes } from '../../api/routes/search.ts';
import { createPassageSearch, type SearchParts } from '../../projections/search/passageSearch.ts';
import { fakeEmbedder, fakeIndex, liveOf, stores } from '../projections/searchParts.ts';
import { wallClock } from '../standins/wallClock.ts';
import { problemIn, startApi, tokenFor, type TestApi } from './apiForTests.ts';
import type { TestService } from './serviceForTests.ts';

export interface Answered {
  readonly data: readonly {
    readonly score: number;
    readonly kind: string;
    readonly discussionId: string;
    readonly agentId: string | null;
    readonly at: string;
    readonly snippet: { readonly text: string; readonly highlights: readonly (readonly [number, number])[] };
    readonly event: {
      readonly id: string;
      readonly stream: string;
      readonly revision: number;
      readonly position: string;
    };
  }[];
  readonly mode: string;
  readonly model: string | null;
}

export interface SearchScene {
  readonly api: TestApi;
  /** What a search waited for, one entry for each read model. */
  readonly waitedFor: string[];
  /** @param as who asks: the administrator unless said. */
  ask(body: unknown, as?: string, headers?: Readonly<Record<string, string>>): Promise<Response>;
  /** As `ask`, in the mode `keyword`, once the read model has all that the log has; fails unless it is answered. */
  found(body: object, as?: string): Promise<Answered>;
  refused(body: unknown, status: number, code: string, as?: string): ReturnType<typeof problemIn>;
  stop(): Promise<void>;
}

/** @param parts replace the model, the store or what the database says of the index. */
export async function startSearchScene(on: TestService, parts: Partial<SearchParts> = {}): Promise<SearchScene> {
  const { engine, reads, storage } = on.service.running;
  const waitedFor: string[] = [];
  const search = createPassageSearch({
    knex: storage.database.knex,
    embedder: () => fakeEmbedder(),
    index: stores({ pgvector: fakeIndex() }),
    clock: wallClock,
    live: () => Promise.resolve(liveOf()),
    ...parts,
  });
  const routes = searchRoutes({
    engine,
    search,
    waitFor(position, names, options) {
      waitedFor.push(...names);
      return reads.waitFor(
        position,
        names.filter((name) => name !== 'embeddings'),
        options,
      );
    },
  } as Partial<ApiContext> as ApiContext);
  const api = await startApi({ routes });
  const ask: SearchScene['ask'] = (body, as = tokenFor(), headers = {}) =>
    api.post('/api/v1/search', body, { Authorization: `Bearer ${as}`, ...headers });
  return {
    api,
    waitedFor,
    ask,
    async found(body, as) {
      const headers = { 'Consistency-Token': `p${await engine.store.head()}`, Prefer: 'wait=10' };
      const answer = await ask({ mode: 'keyword', ...body }, as, headers);
      const text = await answer.text();
      assert.is(answer.status, 200, text);
      return JSON.parse(text) as Answered;
    },
    refused: async (body, status, code, as) => problemIn(await ask(body, as), status, code),
    stop: () => api.drain(),
  };
}

/** A token of somebody who may read one project. */
export function viewerOf(...projects: readonly string[]): string {
  return tokenFor({
    sub: `viewer-of-${projects.join('-')}`,
    grants: projects.map((project) => ({ project, role: 'viewer' })),
  });
}

/** The texts of what was found, in order. */
export const textsOf = ({ data }: Answered): string[] => data.map(({ snippet }) => snippet.text);
