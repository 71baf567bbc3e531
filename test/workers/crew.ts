/** Engines that share a database, a bus and models which answer when they are let: new ones for each test of a suite. */
import type { Suite } from '../harness.ts';
import { postgresForTests, type TestDatabase } from '../services.ts';
import { startTestEngine, type TestEngine, type TestEngineOptions } from './engineForTests.ts';
import { createGatedModel, type GatedModel } from './gatedModel.ts';
import { createSharedBus, type SharedBus } from './sharedBus.ts';

/** Longer than any test. */
export const NEVER_MS = 600_000;

export interface Crew {
  /** Of the present test. */
  readonly database: TestDatabase;
  readonly bus: SharedBus;
  readonly models: GatedModel;
  /** Those started so far. */
  readonly engines: readonly TestEngine[];
  /** Starts an engine that stops when the test has ended. */
  start(options: TestEngineOptions): Promise<TestEngine>;
}

interface Shared {
  readonly database: TestDatabase;
  readonly bus: SharedBus;
  readonly models: GatedModel;
  readonly engines: TestEngine[];
}

/** Adds hooks to the suite. */
export function crewOf(test: Suite): Crew {
  let shared: Shared | null = null;
  const now = (): Shared => {
    if (shared === null) throw new Error('a crew is there while a test runs');
    return shared;
  };
  test.before.each(async () => {
    shared = {
      ...{ database: await postgresForTests(), bus: createSharedBus() },
      ...{ models: createGatedModel(), engines: [] },
    };
  });
  test.after.each(async () => {
    const { engines, database } = now();
    await Promise.all(engines.map((each) => each.stop()));
    await database.stop();
    shared = null;
  });
  return {
    get database() {
      return now().database;
    },
    get bus() {
      return now().bus;
    },
    get models() {
      return now().models;
    },
    get engines() {
      return now().engines;
    },
    async start(options) {
      const { database, bus, models, engines } = now();
      const on = await startTestEngine(database.url, { models, bus: bus.of, ...options });
      engines.push(on);
      return on;
    },
  };
}
