/** One client of EventStoreDB per log, and bounds around what it does. */
import { setMaxListeners } from 'node:events';
import { EventStoreDBClient } from '@eventstore/db-client';
import { Refusal } from '../domain/refusal.ts';

/** Time-outs of our own, milliseconds: the client's do not hold everywhere. */
export interface EventStoreDbDeadlines {
  /** From sending an append to its answer. */
  readonly appendMs: number;
  /** Longest silence inside a read, and before a subscription is confirmed. */
  readonly quietMs: number;
  /** Silence of the live subscription after which the log's head is looked at. */
  readonly watchMs: number;
}

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

export interface Connection {
  readonly client: EventStoreDBClient;
  /** Given with every call: they make the client use its unary append, which keeps its deadline. */
  readonly credentials: Credentials;
  readonly deadlines: EventStoreDbDeadlines;
  /** Aborts when reads are to end. */
  readonly closed: AbortSignal;
  /** Ends reads and whatever else is under way, within 2 s. */
  close(): Promise<void>;
}

/** What a call of ours rejects with when its time was up. */
export class TimeUp extends Error {
  constructor(ms: number) {
    super(`EventStoreDB did not answer within ${ms} ms`);
    this.name = 'TimeUp';
  }
}

/** A stopped or unreachable server is noticed after 1 + 1 s instead of 10 + 10 s. */
const KEEP_ALIVE_MS = 1_000;
const CLOSE_MS = 2_000;
const USER_INFO = /^(esdb(?:\+discover)?:\/\/)(?:([^:@/?]+):([^@]+)@)?/;
/** Without TLS nobody is asked who he is: any credentials do. */
const NOBODY: Credentials = { username: 'nobody', password: 'nobody' };

/**
 * A connection string as the client takes it, and the credentials it held. The keep-alive is set unless it is already,
 * failed appends always throw.
 * @throws Refusal `invalid` for what is no connection string, and for TLS without a user.
 */
export function readUrl(given: string): { url: string; credentials: Credentials } {
  const url = given.trim().replace(/^(eventstore|kurrent(db)?)(?=\+|:)/, 'esdb');
  const [head = '', prefix = '', username, password] = USER_INFO.exec(url) ?? [];
  if (prefix === '') throw new Refusal('invalid', 'the URL of an EventStoreDB begins with esdb:// or esdb+discover://');
  const [hosts = '', query = ''] = url.slice(head.length).split('?', 2);
  const settings = query.split('&').filter((each) => each !== '' && !/^throwOnAppendFailure=/i.test(each));
  for (const name of ['keepAliveInterval', 'keepAliveTimeout'])
    if (!settings.some((each) => each.toLowerCase().startsWith(`${name.toLowerCase()}=`)))
      settings.push(`${name}=${KEEP_ALIVE_MS}`);
  const named = username !== undefined && password !== undefined;
  if (!named && !settings.some((each) => /^tls=false$/i.test(each)))
    throw new Refusal('invalid', 'an EventStoreDB with TLS needs a user: esdb://user:password@host:2113');
  const credentials = named
    ? { username: decodeURIComponent(username), password: decodeURIComponent(password) }
    : NOBODY;
  return { url: `${prefix}${hosts.replace(/\/+$/, '')}?${settings.join('&')}`, credentials };
}

/** Opens nothing yet: the client connects with its first call. @throws Refusal as `readUrl` does. */
export function connect(url: string, given: Credentials | undefined, deadlines: EventStoreDbDeadlines): Connection {
  const withUser = given === undefined ? url : url.replace(USER_INFO, (_, prefix: string) => `${prefix}x:x@`);
  const { url: prepared, credentials } = readUrl(withUser);
  const closing = new AbortController();
  // Every read under way listens to it.
  setMaxListeners(0, closing.signal);
  const client = clientFor(prepared);
  return {
    ...{ client, credentials: given ?? credentials, deadlines, closed: closing.signal },
    async close() {
      closing.abort();
      // With calls left over the client waits for ever.
      await bounded(client.dispose(), CLOSE_MS).catch(() => undefined);
    },
  };
}

function clientFor(url: string): EventStoreDBClient {
  const { warn } = console;
  // The client prints a line for every keep-alive under 10 s. Ours is meant: stderr belongs to the operator.
  console.warn = () => undefined;
  try {
    return EventStoreDBClient.connectionString(url);
  } catch {
    // The client's error repeats the URL.
    throw new Refusal('invalid', 'the URL of the EventStoreDB cannot be read: esdb://host:2113?tls=false, for example');
  } finally {
    console.warn = warn;
  }
}

/** The promise, or `TimeUp` after `ms`; what it does later is not heard any more. */
export async function bounded<T>(promise: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  promise.catch(() => undefined);
  try {
    return await Promise.race([
      promise,
      new Promise<never>((_, reject) => (timer = setTimeout(() => reject(new TimeUp(ms)), ms))),
    ]);
  } finally {
    clearTimeout(timer);
  }
}
