/** The ObjectStore port on S3 or a server that speaks its protocol: addressed by path, signed, nothing retried. */
import { createHash } from 'node:crypto';
import { AwsV4Signer } from 'aws4fetch';
import { isObjectName, objectName, type ObjectStore, type StoredObject } from '../domain/objectStore.ts';
import { Refusal } from '../domain/refusal.ts';

export interface S3Options {
  /** `s3://bucket/prefix?endpoint=https://host&region=name`; without endpoint it is Amazon's of the region. */
  readonly url: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Longest silence before an answer and inside it, milliseconds; 30,000 unless said. */
  readonly quietMs?: number;
}

/** One request carries an object: our parts are a fourth of it at most. */
const MOST_BYTES = 256 << 20;
/** An upload of so many bytes a millisecond is waited for, beside the silence allowed. */
const SLOWEST_BYTES_PER_MS = 100;
const PAGE_KEYS = 1_000;

interface Ask {
  readonly method: string;
  readonly key?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array<ArrayBuffer>;
  readonly signal?: AbortSignal | undefined;
}

type Send = (ask: Ask, timer: Timer) => Promise<Response>;

/**
 * `put` gathers an object in memory, 256 MiB at most (`too-large` beyond). That a name is not written twice is checked
 * before, and by the server where it honours `If-None-Match` (Amazon and most others do).
 * @throws Refusal `invalid` when the URL cannot be used.
 */
export function openS3Objects(options: S3Options): ObjectStore {
  const { place, prefix } = placeOf(options.url);
  const quietMs = options.quietMs ?? 30_000;
  const send = sender(options, place);
  const key = (name: string) => prefix + objectName(name);
  return {
    async put(name, content, { replace = false, signal } = {}) {
      const target = key(name);
      const body = await gathered(content, name);
      await within(quietMs + body.byteLength / SLOWEST_BYTES_PER_MS, signal, async (timer) => {
        if (!replace) {
          const there = await send({ method: 'HEAD', key: target }, timer);
          if (there.ok) throw conflict(name);
          if (there.status !== 404) throw await refused(there, name);
        }
        const headers: Record<string, string> = replace ? {} : { 'if-none-match': '*' };
        const answer = await send({ method: 'PUT', key: target, headers, body }, timer);
        if (answer.status === 412 || answer.status === 409) throw conflict(name);
        if (!answer.ok) throw await refused(answer, name);
        await answer.arrayBuffer();
      });
    },
    get: (name, { signal } = {}) => chunks(send, key(name), name, quietMs, signal),
    async list(under, { signal } = {}) {
      const found: StoredObject[] = [];
      for (let token: string | null = ''; token !== null;) {
        const more: Record<string, string> = token === '' ? {} : { 'continuation-token': token };
        const query = { 'list-type': '2', 'max-keys': String(PAGE_KEYS), prefix: prefix + under, ...more };
        const page = await within(quietMs, signal, async (timer) => {
          const answer = await send({ method: 'GET', query }, timer);
          if (!answer.ok) throw await refused(answer, under);
          return await answer.text();
        });
        found.push(...objectsIn(page, prefix));
        token = /<IsTruncated>true</.test(page) ? fieldOf(page, 'NextContinuationToken') : null;
      }
      return found.sort((a, b) => (a.name < b.name ? -1 : 1));
    },
    async remove(name) {
      const target = key(name);
      await within(quietMs, undefined, async (timer) => {
        const answer = await send({ method: 'DELETE', key: target }, timer);
        if (!answer.ok && answer.status !== 404) throw await refused(answer, name);
        await answer.arrayBuffer();
      });
    },
  };
}

function placeOf(text: string): { place: { base: string; region: string }; prefix: string } {
  const url = URL.canParse(text) ? new URL(text) : null;
  const wrong = [...(url?.searchParams.keys() ?? [])].find((each) => each !== 'endpoint' && each !== 'region');
  const region = url?.searchParams.get('region') ?? 'us-east-1';
  const endpoint = url?.searchParams.get('endpoint') ?? `https://s3.${region}.amazonaws.com`;
  const usable = url?.protocol === 's3:' && url.hostname !== '' && url.username === '' && wrong === undefined;
  if (!usable || !/^https?:\/\/[^/]+\/?$/.test(endpoint))
    throw new Refusal('invalid', 'an S3 place is s3://bucket/prefix?endpoint=https://host&region=name');
  const folder = url.pathname.replace(/^\/+|\/+$/g, '');
  const base = `${endpoint.replace(/\/$/, '')}/${url.hostname}`;
  return { place: { base, region }, prefix: folder === '' ? '' : `${objectName(folder)}/` };
}

function sender({ accessKeyId, secretAccessKey }: S3Options, place: { base: string; region: string }): Send {
  return async ({ method, key, query = {}, headers = {}, body }, timer) => {
    const search = new URLSearchParams(query).toString();
    const signer = new AwsV4Signer({
      method,
      url: place.base + (key === undefined ? '' : `/${key}`) + (search === '' ? '' : `?${search}`),
      headers: {
        ...headers,
        'x-amz-content-sha256': createHash('sha256')
          .update(body ?? '')
          .digest('hex'),
      },
      accessKeyId,
      secretAccessKey,
      service: 's3',
      region: place.region,
    });
    const signed = await signer.sign();
    return await fetch(signed.url, {
      method: signed.method,
      headers: signed.headers,
      ...(body === undefined ? {} : { body }),
      redirect: 'error',
      signal: timer.signal,
    });
  };
}

async function* chunks(
  send: Send,
  key: string,
  name: string,
  quietMs: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const timer = startTimer(quietMs, signal);
  try {
    const answer = await send({ method: 'GET', key }, timer);
    if (!answer.ok) throw await refused(answer, name);
    for await (const chunk of answer.body ?? []) {
      timer.stop();
      yield chunk;
      timer.restart();
    }
  } catch (error) {
    throw failureOf(error, signal);
  } finally {
    // Left early: the rest is not to be read.
    timer.end();
  }
}

interface Timer {
  readonly signal: AbortSignal;
  restart(): void;
  stop(): void;
  end(): void;
}

function startTimer(ms: number, outer: AbortSignal | undefined): Timer {
  const abort = new AbortController();
  const late = () => abort.abort(new DOMException('the time is up', 'TimeoutError'));
  let running = setTimeout(late, ms);
  return {
    signal: outer === undefined ? abort.signal : AbortSignal.any([abort.signal, outer]),
    restart() {
      clearTimeout(running);
      running = setTimeout(late, ms);
    },
    stop: () => clearTimeout(running),
    end() {
      clearTimeout(running);
      abort.abort();
    },
  };
}

async function within<T>(ms: number, signal: AbortSignal | undefined, work: (timer: Timer) => Promise<T>): Promise<T> {
  const timer = startTimer(ms, signal);
  try {
    return await work(timer);
  } catch (error) {
    throw failureOf(error, signal);
  } finally {
    // An answer that was not read to its end gives its connection back.
    timer.end();
  }
}

async function gathered(
  content: Uint8Array | AsyncIterable<Uint8Array>,
  name: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of content instanceof Uint8Array ? [content] : content) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > MOST_BYTES) throw new Refusal('too-large', `${name} is larger than ${MOST_BYTES} bytes`);
    parts.push(chunk);
  }
  return new Uint8Array(Buffer.concat(parts));
}

function objectsIn(page: string, prefix: string): StoredObject[] {
  return [...page.matchAll(/<Contents>([\s\S]*?)<\/Contents>/g)].flatMap(([, entry = '']) => {
    const name = (fieldOf(entry, 'Key') ?? '').slice(prefix.length);
    // Whatever else lies in the bucket is none of ours.
    if (!isObjectName(name)) return [];
    const writtenAt = Date.parse(fieldOf(entry, 'LastModified') ?? '');
    return [{ name, sizeBytes: Number(fieldOf(entry, 'Size')), writtenAt }];
  });
}

function fieldOf(xml: string, field: string): string | null {
  const found = new RegExp(`<${field}>([^<]*)</${field}>`).exec(xml)?.[1];
  return (
    found?.replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&') ?? null
  );
}

function conflict(name: string): Refusal {
  return new Refusal('conflict', `${name} exists already`);
}

async function refused(answer: Response, name: string): Promise<Refusal> {
  const { status } = answer;
  const code = fieldOf(await answer.text().catch(() => ''), 'Code');
  if (status === 404 && code !== 'NoSuchBucket') return new Refusal('not-found', `there is no object ${name}`);
  const said = code === null ? String(status) : `${status} ${code.slice(0, 60)}`;
  if (status === 401 || status === 403 || status === 404 || status === 400)
    return new Refusal(
      'unavailable',
      `the object store refused (${said}): check the bucket, its region, S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY`,
      {
        retryable: false,
      },
    );
  return new Refusal('unavailable', `the object store cannot answer now (${said})`);
}

/** An abort of the caller's goes on as it is. */
function failureOf(error: unknown, signal: AbortSignal | undefined): unknown {
  if (error instanceof Refusal || signal?.aborted) return error;
  return new Refusal('unavailable', 'the object store does not answer, or broke off', { cause: error });
}
