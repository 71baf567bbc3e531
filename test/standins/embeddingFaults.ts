/** What the stand-in that embeds can be told to do wrong: one fault, in place of the next vectors. */
import type { ServerResponse } from 'node:http';

type Rows = readonly (readonly number[])[];
type Player = (response: ServerResponse, rows: Rows, wrapped: (rows: readonly unknown[]) => unknown) => void;

const JSON_TYPE = { 'content-type': 'application/json' };
const SERVER_PATH = '/srv/models/blobs/sha256-b179c9523d0e';

const changed =
  (change: (rows: Rows) => readonly unknown[]): Player =>
  (response, rows, wrapped) =>
    void response.writeHead(200, JSON_TYPE).end(JSON.stringify(wrapped(change(rows))));

const answered =
  (status: number, body: string, headers: Record<string, string> = {}): Player =>
  (response) =>
    void response.writeHead(status, { ...JSON_TYPE, ...headers }).end(body);

export const embeddingFaults = {
  mute: () => undefined,
  /** The headers at once, and nothing more. */
  headersOnly: (response) => {
    response.writeHead(200, JSON_TYPE);
    response.flushHeaders();
  },
  closed: (response) => void response.socket?.destroy(),
  halfBody: (response, rows, wrapped) => {
    const body = JSON.stringify(wrapped(rows));
    response.writeHead(200, { ...JSON_TYPE, 'content-length': String(body.length) });
    response.write(body.slice(0, body.length / 2), () => response.socket?.destroy());
  },
  /** A clean end in the middle. */
  cutBody: (response, rows, wrapped) => {
    const body = JSON.stringify(wrapped(rows));
    response.writeHead(200, JSON_TYPE).end(body.slice(0, body.length / 2));
  },
  status500: answered(500, JSON.stringify({ error: `llama runner: ${SERVER_PATH} is corrupt` })),
  status429: answered(429, JSON.stringify({ error: 'slow down' }), { 'retry-after': '7' }),
  status401: answered(401, JSON.stringify({ error: { message: 'Incorrect API key provided' } })),
  redirect: answered(307, '', { location: 'http://127.0.0.1:9/elsewhere' }),
  notJson: answered(200, '<html>\n</html>', { 'content-type': 'text/html' }),
  noBody: answered(200, ''),
  errorBody: answered(200, '{"error":"boom"}'),
  nothingInIt: answered(200, '{}'),
  oneTooFew: changed((rows) => rows.slice(1)),
  oneTooMany: changed((rows) => [...rows, ...rows.slice(0, 1)]),
  otherDimensions: changed((rows) => rows.map((row) => row.slice(1))),
  noDimensions: changed((rows) => rows.map(() => [])),
  /** What JSON makes of NaN and infinity. */
  nulls: changed((rows) => rows.map((row) => row.map((number, at) => (at === 3 ? null : number)))),
  strings: changed((rows) => rows.map((row) => row.map(String))),
  noRows: changed((rows) => rows.map(() => null)),
} satisfies Record<string, Player>;

export type EmbeddingFault = keyof typeof embeddingFaults;
