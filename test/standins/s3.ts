/**
 * A stand-in for S3: one bucket in memory, addressed by path. It reckons every request's signature (Signature Version 4)
 * by itself and refuses what does not fit, as the real one does.
 */
import { createHash, createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface S3StandIn {
  /** As the setting has it. */
  readonly place: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly objects: Map<string, { bytes: Buffer; writtenAt: Date }>;
  /** The next requests of a method answer so: a status, an answer that breaks off half-way, or never one. */
  fail(method: string, how: number | 'break' | 'silent', times?: number): void;
  /** Requests that came, `PUT /bucket/key`. */
  readonly requests: string[];
  stop(): Promise<void>;
}

const BUCKET = 'backups';
const REGION = 'eu-test-1';
/** Smaller than a real page, so that tests see several. */
const PAGE_KEYS = 25;
const sha256 = (bytes: string | Buffer) => createHash('sha256').update(bytes).digest('hex');
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();

/** @param prefix in the bucket. */
export async function startS3(prefix = 'colloquy'): Promise<S3StandIn> {
  const keys = { accessKeyId: 'AKIDSTANDIN', secretAccessKey: 'standin-secret-key-0123456789' };
  const objects: S3StandIn['objects'] = new Map();
  const faults: { method: string; how: number | 'break' | 'silent' }[] = [];
  const requests: string[] = [];
  const server = createServer((request, response) => {
    void (async () => {
      const body = Buffer.concat((await request.toArray()) as Buffer[]);
      requests.push(`${request.method} ${request.url}`);
      const at = faults.findIndex(({ method }) => method === request.method);
      const [fault] = at === -1 ? [] : faults.splice(at, 1);
      if (fault?.how === 'silent') return;
      if (typeof fault?.how === 'number') return problem(response, fault.how, 'SlowDown');
      const wrong = signatureFault(request, body, keys);
      if (wrong !== null) return problem(response, 403, wrong);
      answer(request, response, body, objects, fault?.how === 'break');
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    place: `s3://${BUCKET}/${prefix}?endpoint=http://127.0.0.1:${port}&region=${REGION}`,
    ...keys,
    objects,
    requests,
    fail(method, how, times = 1) {
      for (let i = 0; i < times; i += 1) faults.push({ method, how });
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** What is wrong with the signature; null when nothing is. */
function signatureFault(
  request: IncomingMessage,
  body: Buffer,
  keys: Pick<S3StandIn, 'accessKeyId' | 'secretAccessKey'>,
): string | null {
  const { headers, method = '' } = request;
  const given =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? '',
    );
  if (given === null) return 'AccessDenied';
  const [, id = '', day = '', region = '', signedHeaders = '', signature = ''] = given;
  if (id !== keys.accessKeyId) return 'InvalidAccessKeyId';
  if (region !== REGION) return 'AuthorizationHeaderMalformed';
  const date = String(headers['x-amz-date']);
  const content = String(headers['x-amz-content-sha256']);
  if (content !== sha256(body)) return 'XAmzContentSHA256Mismatch';
  if (!date.startsWith(day) || Math.abs(Date.now() - timeOf(date)) > 900_000) return 'RequestTimeTooSkewed';
  const names = signedHeaders.split(';');
  for (const needed of ['host', 'x-amz-date', 'x-amz-content-sha256'])
    if (!names.includes(needed)) return 'AccessDenied';
  const url = new URL(request.url ?? '', 'http://localhost');
  const query = [...url.searchParams]
    .map(([name, value]) => `${encodeRfc3986(name)}=${encodeRfc3986(value)}`)
    .sort()
    .join('&');
  const lines = names.map((name) => `${name}:${String(headers[name]).trim()}\n`).join('');
  const canonical = [method, url.pathname, query, lines, signedHeaders, content].join('\n');
  const scope = `${day}/${region}/s3/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', date, scope, sha256(canonical)].join('\n');
  const key = [day, region, 's3', 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${keys.secretAccessKey}`);
  return hmac(key, toSign).toString('hex') === signature ? null : 'SignatureDoesNotMatch';
}

function timeOf(date: string): number {
  return Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
}

function encodeRfc3986(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`);
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  body: Buffer,
  objects: S3StandIn['objects'],
  breakOff: boolean,
): void {
  const url = new URL(request.url ?? '', 'http://localhost');
  const [, bucket, ...rest] = decodeURIComponent(url.pathname).split('/');
  const key = rest.join('/');
  if (bucket !== BUCKET) return problem(response, 404, 'NoSuchBucket');
  if (request.method === 'GET' && key === '') return list(url, response, objects);
  const found = objects.get(key);
  switch (request.method) {
    case 'PUT':
      if (request.headers['if-none-match'] === '*' && found !== undefined)
        return problem(response, 412, 'PreconditionFailed');
      objects.set(key, { bytes: body, writtenAt: new Date() });
      return void response.writeHead(200).end();
    case 'DELETE':
      objects.delete(key);
      return void response.writeHead(204).end();
    case 'HEAD':
      return void response.writeHead(found === undefined ? 404 : 200).end();
    default:
      if (found === undefined) return problem(response, 404, 'NoSuchKey');
      response.writeHead(200, { 'content-length': found.bytes.length });
      if (!breakOff) return void response.end(found.bytes);
      response.write(found.bytes.subarray(0, found.bytes.length >> 1), () => response.destroy());
  }
}

function list(url: URL, response: ServerResponse, objects: S3StandIn['objects']): void {
  const prefix = url.searchParams.get('prefix') ?? '';
  const after = url.searchParams.get('continuation-token') ?? '';
  const names = [...objects.keys()].filter((name) => name.startsWith(prefix) && name > after).sort();
  const page = names.slice(0, PAGE_KEYS);
  const truncated = names.length > page.length;
  const contents = page.map((name) => {
    const { bytes, writtenAt } = objects.get(name) ?? { bytes: Buffer.alloc(0), writtenAt: new Date(0) };
    return `<Contents><Key>${name}</Key><LastModified>${writtenAt.toISOString()}</LastModified><Size>${bytes.length}</Size></Contents>`;
  });
  const next = truncated ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : '';
  response.writeHead(200, { 'content-type': 'application/xml' });
  response.end(
    `<?xml version="1.0"?><ListBucketResult><IsTruncated>${truncated}</IsTruncated>${contents.join('')}${next}</ListBucketResult>`,
  );
}

function problem(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'content-type': 'application/xml' });
  response.end(`<?xml version="1.0"?><Error><Code>${code}</Code></Error>`);
}
