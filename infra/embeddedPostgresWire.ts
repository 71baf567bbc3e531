/**
 * The PostgreSQL wire protocol 3.0 as far as a server in front of one single session needs it
 * (https://www.postgresql.org/docs/current/protocol-message-formats.html).
 */

/** What a client sent, cut where the engine may be handed to another client or where the client waits for an answer. */
export type ClientUnit =
  | { readonly kind: 'startup' }
  | { readonly kind: 'encryption' }
  | { readonly kind: 'end' }
  | { readonly kind: 'run'; readonly bytes: Buffer };

const SSL_REQUEST = 80877103;
const GSS_REQUEST = 80877104;
const CANCEL_REQUEST = 80877102;
const PROTOCOL_MAJOR = 3;
/** A unit that grows beyond this ends its connection. */
const MAX_UNIT_BYTES = 256 * 1024 * 1024;
const MAX_STARTUP_BYTES = 10_000;

const BIND = code('B');
const CLOSE = code('C');
const DESCRIBE = code('D');
const FLUSH = code('H');
const FUNCTION_CALL = code('F');
const NOTIFICATION = code('A');
const PARSE = code('P');
const QUERY = code('Q');
const READY = code('Z');
const SYNC = code('S');
const TERMINATE = code('X');
const EMPTY = Buffer.alloc(0);

/** Collects a client's bytes until they are whole units. */
export class ClientReader {
  #chunks: Buffer[] = [];
  #size = 0;
  #started = false;
  /** Bytes from the start that are known to be whole messages of the next unit. */
  #scanned = 0;
  /** How many bytes there must be before looking again is worth it. */
  #needed = 4;

  /** The units that this chunk completes, nothing after an `end`. Throws on what is no protocol or has no bound. */
  push(chunk: Buffer): ClientUnit[] {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    const units: ClientUnit[] = [];
    while (this.#size >= this.#needed) {
      const unit = this.#started ? this.#nextUnit() : this.#nextStartup();
      if (!unit) break;
      units.push(unit);
      if (unit.kind === 'end') break;
    }
    return units;
  }

  #nextStartup(): ClientUnit | undefined {
    const length = this.#all().readInt32BE(0);
    if (length < 8 || length > MAX_STARTUP_BYTES) throw new Error('not the PostgreSQL protocol');
    this.#needed = length;
    if (this.#size < length) return undefined;
    const request = this.#take(length).readInt32BE(4);
    this.#needed = 4;
    if (request === SSL_REQUEST || request === GSS_REQUEST) return { kind: 'encryption' };
    if (request === CANCEL_REQUEST) return { kind: 'end' };
    if (request >>> 16 !== PROTOCOL_MAJOR) throw new Error('not the PostgreSQL protocol 3');
    this.#started = true;
    this.#needed = 5;
    return { kind: 'startup' };
  }

  #nextUnit(): ClientUnit | undefined {
    const all = this.#all();
    while (this.#size >= this.#scanned + 5) {
      const type = all[this.#scanned];
      const end = this.#scanned + 1 + all.readInt32BE(this.#scanned + 1);
      if (end < this.#scanned + 5 || end > MAX_UNIT_BYTES) throw new Error('a message is malformed or too large');
      this.#needed = end;
      if (this.#size < end) return undefined;
      this.#scanned = end;
      if (type === TERMINATE) return { kind: 'end' };
      if (type === QUERY || type === SYNC || type === FLUSH || type === FUNCTION_CALL) {
        this.#scanned = 0;
        this.#needed = 5;
        return { kind: 'run', bytes: this.#take(end) };
      }
    }
    this.#needed = this.#scanned + 5;
    return undefined;
  }

  #all(): Buffer {
    if (this.#chunks.length !== 1) this.#chunks = [Buffer.concat(this.#chunks, this.#size)];
    return this.#chunks[0] ?? Buffer.alloc(0);
  }

  #take(bytes: number): Buffer {
    const all = this.#all();
    const rest = all.subarray(bytes);
    this.#chunks = rest.length > 0 ? [rest] : [];
    this.#size = rest.length;
    return all.subarray(0, bytes);
  }
}

/**
 * Gives a client's named prepared statements names of their own: all clients share one session, where a name that two of
 * them use would fail with 42P05 or, worse, run the other's statement. `names` remembers this client's names.
 */
export function scopeStatements(unit: Buffer, names: Map<string, string>, newName: () => string): Buffer {
  const parts: Buffer[] = [];
  let changed = false;
  for (const message of messages(unit)) {
    const at = statementNameAt(message);
    const end = at === undefined ? -1 : message.indexOf(0, at);
    if (at === undefined || end <= at) {
      parts.push(message);
      continue;
    }
    const name = message.toString('utf8', at, end);
    const own = names.get(name) ?? newName();
    names.set(name, own);
    parts.push(frame(message[0], [message.subarray(5, at), Buffer.from(own), message.subarray(end)]));
    changed = true;
  }
  return changed ? Buffer.concat(parts) : unit;
}

function statementNameAt(message: Buffer): number | undefined {
  const type = message[0];
  if (type === PARSE) return 5;
  if (type === BIND) return message.indexOf(0, 5) + 1;
  if ((type === DESCRIBE || type === CLOSE) && message[5] === SYNC) return 6;
  return undefined;
}

/** True when a unit starts a COPY from the client: the engine reads on where nothing can come and dies of it. */
export function copiesFromClient(unit: Buffer): boolean {
  for (const message of messages(unit)) {
    if (message[0] !== QUERY && message[0] !== PARSE) continue;
    const from = message[0] === QUERY ? 5 : message.indexOf(0, 5) + 1;
    const start = message.toString('latin1', from, Math.min(message.length, from + 4_096));
    if (/^\s*copy\b[^;]*\bfrom\s+stdin\b/i.test(start)) return true;
  }
  return false;
}

/** `I` idle, `T` in a transaction, `E` in a failed one. */
export type TransactionStatus = 'I' | 'T' | 'E';

export interface EngineAnswer {
  /** For the client that asked. */
  readonly answer: Buffer;
  /** For every client: NotificationResponses, which belong to whoever listens. */
  readonly notifications: Buffer;
  /** Undefined while the engine still waits for a Sync. */
  readonly status: TransactionStatus | undefined;
}

/** Reads the whole answer to one unit. */
export function readAnswer(answer: Buffer): EngineAnswer {
  const own: Buffer[] = [];
  const notifications: Buffer[] = [];
  let from = 0;
  let offset = 0;
  let last = -1;
  while (offset + 5 <= answer.length) {
    const next = offset + 1 + answer.readInt32BE(offset + 1);
    if (answer[offset] === NOTIFICATION) {
      own.push(answer.subarray(from, offset));
      notifications.push(answer.subarray(offset, next));
      from = next;
    }
    last = offset;
    offset = next;
  }
  const status = answer[last] === READY ? asStatus(answer[last + 5]) : undefined;
  if (notifications.length === 0) return { answer, notifications: EMPTY, status };
  own.push(answer.subarray(from));
  return { answer: Buffer.concat(own), notifications: Buffer.concat(notifications), status };
}

function asStatus(byte: number | undefined): TransactionStatus {
  const letter = String.fromCharCode(byte ?? 0);
  return letter === 'T' || letter === 'E' ? letter : 'I';
}

/** The start-up message of a client, sent once to learn the engine's greeting. */
export function startupMessage(user: string, database: string): Buffer {
  const body = Buffer.from(`user\0${user}\0database\0${database}\0\0`);
  const message = Buffer.alloc(8 + body.length);
  message.writeInt32BE(message.length, 0);
  message.writeInt16BE(PROTOCOL_MAJOR, 4);
  body.copy(message, 8);
  return message;
}

/** What ends a vanished client's work: its unfinished statement, its transaction, its prepared statements. */
export function farewell(options: { rollback: boolean; statements: Iterable<string> }): Buffer {
  const sync = frame(SYNC, []);
  const closed = [...options.statements].map((name) => frame(CLOSE, [Buffer.from(`S${name}\0`)]));
  return Buffer.concat([
    ...(options.rollback ? [sync, frame(QUERY, [Buffer.from('ROLLBACK\0')])] : []),
    ...(closed.length > 0 ? [...closed, sync] : []),
  ]);
}

/** An ErrorResponse; FATAL ones end the connection, others are followed by ReadyForQuery with that status. */
export function errorResponse(sqlState: string, text: string, ready?: TransactionStatus): Buffer {
  const severity = ready ? 'ERROR' : 'FATAL';
  const error = frame(code('E'), [Buffer.from(`S${severity}\0V${severity}\0C${sqlState}\0M${text}\0\0`)]);
  return ready ? Buffer.concat([error, frame(READY, [Buffer.from(ready)])]) : error;
}

function* messages(unit: Buffer): Generator<Buffer> {
  let offset = 0;
  while (offset + 5 <= unit.length) {
    const next = offset + 1 + unit.readInt32BE(offset + 1);
    yield unit.subarray(offset, next);
    offset = next;
  }
}

function frame(type: number | undefined, body: readonly Buffer[]): Buffer {
  const length = body.reduce((sum, part) => sum + part.length, 4);
  const head = Buffer.alloc(5);
  head.writeUInt8(type ?? 0, 0);
  head.writeInt32BE(length, 1);
  return Buffer.concat([head, ...body]);
}

function code(letter: string): number {
  return letter.charCodeAt(0);
}
