/**
 * What a PostgreSQL server's background processes do and the embedded engine has none of: checkpoints, vacuum, analyze.
 * Through an ordinary connection, so that it waits its turn like every other client.
 */
import pg from 'pg';

const CONNECT_MS = 5_000;
const MEASURE_MS = 10_000;
/** Time that a checkpoint or the vacuum of one table may take. */
export const UPKEEP_MS = 600_000;
/** Between two looks at the tables: when nothing else is going on, and when something always is. */
const VACUUM_IDLE_MS = 60_000;
const VACUUM_BUSY_MS = 600_000;

/** Every so many ticks it looks though nothing seems to have run: what runs while it looks may count as seen and not be measured. */
const LOOK_EVERY = 10;

/** Since the last checkpoint: what a start after a crash would have to replay. */
const WAL_SINCE_CHECKPOINT = `
  SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), redo_lsn)::float8 AS bytes FROM pg_control_checkpoint()`;

/**
 * The table that needs it most, by PostgreSQL's own rules for autovacuum (25.1.6 of its manual) and, long before the limit
 * of two thousand million, by the age of its oldest transaction. Catalogs too: nobody else looks after them.
 */
const NEEDIEST_TABLE = `
  SELECT format('%I.%I', s.schemaname, s.relname) AS name,
    s.n_dead_tup > 50 + 0.2 * greatest(c.reltuples, 0) OR age(c.relfrozenxid) > 200000000 AS vacuum
  FROM pg_stat_all_tables s JOIN pg_class c ON c.oid = s.relid
  WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND (
    s.n_dead_tup > 50 + 0.2 * greatest(c.reltuples, 0)
    OR s.n_mod_since_analyze > 50 + 0.1 * greatest(c.reltuples, 0)
    OR age(c.relfrozenxid) > 200000000)
  ORDER BY age(c.relfrozenxid) > 200000000 DESC, s.n_dead_tup + s.n_mod_since_analyze DESC
  LIMIT 1`;

export interface UpkeepOptions {
  readonly connection: pg.ClientConfig;
  readonly everyMs: number;
  /** A checkpoint is due after this much WAL; it waits for a quiet moment until there is twice as much. */
  readonly checkpointWalBytes: number;
  /** Counts everything the engine ran. */
  readonly units: () => bigint;
  /** Work that may keep the engine from showing signs of life for longer than a statement of a client may. */
  readonly withPatience: <T>(work: () => Promise<T>) => Promise<T>;
}

export class EmbeddedPostgresUpkeep {
  readonly #options: UpkeepOptions;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;
  #unitsSeen = -1n;
  /** Ticks since the last look. */
  #passed = 0;
  #vacuumedAtMs = performance.now();
  #changedSinceVacuum = true;
  #walBytes = 0;
  #checkpoints = 0;

  constructor(options: UpkeepOptions) {
    this.#options = options;
    this.#schedule();
  }

  /** As last measured. */
  get walBytesSinceCheckpoint(): number {
    return this.#walBytes;
  }

  get checkpoints(): number {
    return this.#checkpoints;
  }

  /** Refreshes the planner's statistics, of all tables when none is named; worth it after loading many rows. */
  async analyze(tables: readonly string[] = []): Promise<void> {
    const names = tables.map((table) => table.split('.').map(pg.escapeIdentifier).join('.'));
    await this.#connected(async (client) => {
      await this.#long(client, `ANALYZE ${names.join(', ')}`);
    });
  }

  /** Resolves when the work under way has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      // What fails here fails for every client too and is reported there; the next tick tries again.
      this.#running = this.#tick()
        .catch(() => undefined)
        .finally(() => this.#schedule());
    }, this.#options.everyMs);
  }

  async #tick(): Promise<void> {
    const quiet = this.#options.units() === this.#unitsSeen;
    if (!quiet) this.#changedSinceVacuum = true;
    const checkpointDue = this.#walBytes >= this.#options.checkpointWalBytes;
    const vacuumAfterMs = quiet ? VACUUM_IDLE_MS : VACUUM_BUSY_MS;
    const vacuumDue = this.#changedSinceVacuum && performance.now() - this.#vacuumedAtMs >= vacuumAfterMs;
    this.#passed += 1;
    if (quiet && !checkpointDue && !vacuumDue && this.#passed < LOOK_EVERY) return;
    this.#passed = 0;
    try {
      await this.#connected(async (client) => {
        await this.#measure(client);
        const { checkpointWalBytes } = this.#options;
        if (this.#walBytes >= checkpointWalBytes * (quiet ? 1 : 2)) await this.#checkpoint(client);
        if (vacuumDue) await this.#vacuum(client);
      });
    } finally {
      this.#unitsSeen = this.#options.units();
    }
  }

  async #measure(client: pg.Client): Promise<void> {
    const { rows } = await client.query<{ bytes: number }>(WAL_SINCE_CHECKPOINT);
    this.#walBytes = rows[0]?.bytes ?? 0;
  }

  async #checkpoint(client: pg.Client): Promise<void> {
    await this.#long(client, 'CHECKPOINT');
    this.#checkpoints += 1;
    await this.#measure(client);
  }

  /** One table at a time: while it lasts nobody else is served. */
  async #vacuum(client: pg.Client): Promise<void> {
    this.#vacuumedAtMs = performance.now();
    // Without it the engine's counts arrive in the statistics only now and then.
    await client.query('SELECT pg_stat_force_next_flush()');
    const { rows } = await client.query<{ name: string; vacuum: boolean }>(NEEDIEST_TABLE);
    const [table] = rows;
    this.#changedSinceVacuum = table !== undefined;
    if (table) await this.#long(client, `${table.vacuum ? 'VACUUM (ANALYZE)' : 'ANALYZE'} ${table.name}`);
  }

  async #long(client: pg.Client, sql: string): Promise<void> {
    const query = { text: sql, query_timeout: UPKEEP_MS };
    await this.#options.withPatience(async () => await client.query(query));
  }

  async #connected(work: (client: pg.Client) => Promise<void>): Promise<void> {
    const { connection } = this.#options;
    const client = new pg.Client({ ...connection, connectionTimeoutMillis: CONNECT_MS, query_timeout: MEASURE_MS });
    client.on('error', () => undefined);
    await client.connect();
    try {
      await work(client);
    } finally {
      await client.end();
    }
  }
}
