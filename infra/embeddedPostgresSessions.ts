/**
 * Lets several clients share the embedded engine, which has one session: a client's unit (all messages up to its Sync) runs
 * whole, and a client that is inside a transaction keeps the engine until the transaction ends.
 *
 * Own code instead of `@electric-sql/pglite-socket` 0.2.17, which queues single messages: when a parameter is larger than a
 * socket's chunk, another client's statement runs between Parse and Bind, and answers go to the wrong client (seen: 150 of
 * 400 queries with 300 kB parameters). It also stops for ever after one failed call.
 *
 * What one session cannot hide from its clients: `SET` without LOCAL, temporary tables, SQL-level PREPARE and session-level
 * advisory locks are shared by all; LISTEN reaches every client; a query outside an open transaction, asked for from inside
 * it, waits until `idleInTransactionMs` ends that transaction; Cancel does nothing; COPY FROM STDIN is refused.
 */
import type { Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import {
  ClientReader,
  type ClientUnit,
  copiesFromClient,
  errorResponse,
  farewell,
  readAnswer,
  scopeStatements,
  type TransactionStatus,
} from './embeddedPostgresWire.ts';

export interface SessionsOptions {
  /** Runs one unit and gives the whole answer. A rejection means that the engine is dead. */
  readonly run: (unit: Buffer) => Promise<Buffer>;
  /** What a client is told after its start-up message. */
  readonly greeting: Buffer;
  readonly maxConnections: number;
  /** A transaction that asks nothing for this long, while others wait, is rolled back and its client dropped. */
  readonly idleInTransactionMs: number;
  /** The engine died: everything must be started again. */
  readonly onDead: (error: unknown) => void;
}

/** Units a client may send ahead before its socket is no longer read. */
const MAX_UNITS_AHEAD = 16;

class Client {
  readonly reader = new ClientReader();
  /** Its names of prepared statements and what the engine knows them by. */
  readonly names = new Map<string, string>();
  readonly socket: Socket;
  units: Buffer[] = [];
  status: TransactionStatus = 'I';
  greeted = false;
  gone = false;

  constructor(socket: Socket) {
    this.socket = socket;
  }
}

export class EmbeddedPostgresSessions {
  readonly #options: SessionsOptions;
  readonly #clients = new Set<Client>();
  /** In the order of arrival; a client stands here once, however many units it has sent. */
  readonly #waiting = new Set<Client>();
  #owner: Client | undefined;
  #ownerTimer: NodeJS.Timeout | undefined;
  #pumping: Promise<void> | undefined;
  #closing = false;
  #statements = 0;

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  accept(socket: Socket): void {
    socket.on('error', () => undefined);
    if (this.#closing || this.#clients.size >= this.#options.maxConnections) {
      socket.end(errorResponse('53300', 'too many connections to the embedded database'), () => socket.destroy());
      return;
    }
    const client = new Client(socket);
    this.#clients.add(client);
    socket.on('data', (chunk: Buffer) => this.#receive(client, chunk));
    socket.on('end', () => this.#drop(client));
    socket.on('close', () => this.#drop(client));
  }

  /** Takes no more work, waits for the unit under way, rolls back what is open and drops every client. */
  async close(): Promise<void> {
    this.#closing = true;
    const last = errorResponse('57P01', 'the embedded database is being stopped');
    for (const client of [...this.#clients]) this.#drop(client, last);
    while (this.#pumping) await this.#pumping;
    clearTimeout(this.#ownerTimer);
  }

  #receive(client: Client, chunk: Buffer): void {
    if (client.gone) return;
    try {
      for (const unit of client.reader.push(chunk)) this.#take(client, unit);
    } catch {
      this.#drop(client, errorResponse('08P01', 'the message is not understood or too large'));
    }
    if (client.gone || client.units.length === 0) return;
    if (client.units.length >= MAX_UNITS_AHEAD) client.socket.pause();
    this.#waiting.add(client);
    this.#pump();
  }

  #take(client: Client, unit: ClientUnit): void {
    if (unit.kind === 'encryption') client.socket.write('N');
    else if (unit.kind === 'end') this.#drop(client);
    else if (unit.kind === 'run') {
      client.units.push(scopeStatements(unit.bytes, client.names, () => `s${(this.#statements += 1)}`));
    } else {
      client.socket.write(this.#options.greeting);
      client.greeted = true;
    }
  }

  #pump(): void {
    this.#pumping ??= this.#drain()
      .catch((error: unknown) => this.#options.onDead(error))
      .finally(() => (this.#pumping = undefined));
  }

  async #drain(): Promise<void> {
    for (let client = this.#next(); client; client = this.#next()) {
      clearTimeout(this.#ownerTimer);
      this.#ownerTimer = undefined;
      if (client.gone) await this.#clearUp(client);
      else await this.#runNext(client);
      // Lets sockets be read in between: who hung up while waiting must not have its statement run.
      if (this.#waiting.size > 0) await setImmediate();
    }
    if (this.#owner) this.#ownerTimer ??= this.#idleTimer();
  }

  #next(): Client | undefined {
    const client = this.#owner ?? this.#waiting.values().next().value;
    return client && this.#waiting.delete(client) ? client : undefined;
  }

  async #runNext(client: Client): Promise<void> {
    const unit = client.units.shift();
    if (!unit) return;
    if (copiesFromClient(unit)) {
      const refusal = 'COPY FROM STDIN does not work on the embedded database: insert in batches instead';
      client.socket.write(errorResponse('0A000', refusal, client.status));
    } else {
      const { answer, notifications, status } = readAnswer(await this.#options.run(unit));
      this.#owner = status === 'I' ? undefined : client;
      client.status = status ?? client.status;
      if (!client.gone) client.socket.write(answer);
      if (notifications.length > 0) this.#notify(notifications);
    }
    if (client.units.length > 0 || client.gone) this.#waiting.add(client);
    if (client.units.length < MAX_UNITS_AHEAD) client.socket.resume();
  }

  #notify(notifications: Buffer): void {
    for (const client of this.#clients) if (client.greeted) client.socket.write(notifications);
  }

  /** Ends what a client that is gone left behind: its transaction and its prepared statements. */
  async #clearUp(client: Client): Promise<void> {
    const bytes = farewell({ rollback: this.#owner === client, statements: client.names.values() });
    client.names.clear();
    if (bytes.length > 0) await this.#options.run(bytes);
    if (this.#owner === client) this.#owner = undefined;
  }

  #drop(client: Client, last?: Buffer): void {
    if (client.gone) return;
    client.gone = true;
    client.units = [];
    this.#clients.delete(client);
    if (last && client.socket.writable) client.socket.end(last, () => client.socket.destroy());
    else client.socket.destroy();
    if (this.#owner === client || client.names.size > 0) this.#waiting.add(client);
    else this.#waiting.delete(client);
    this.#pump();
  }

  #idleTimer(): NodeJS.Timeout {
    return setTimeout(() => {
      this.#ownerTimer = undefined;
      if (!this.#owner || this.#pumping) return;
      const late = 'a transaction stayed idle while others waited for the embedded database';
      if (this.#waiting.size > 0) this.#drop(this.#owner, errorResponse('25P03', late));
      else this.#ownerTimer = this.#idleTimer();
    }, this.#options.idleInTransactionMs);
  }
}
