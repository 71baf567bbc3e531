/** Reads how a real Weaviate answered (test/vectors/weaviate.ndjson), so that it can be sent again and compared. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const rowSchema = z.object({
  name: z.string(),
  sent: z.union([z.object({ gql: z.string() }), z.array(z.unknown())]),
  got: z.unknown(),
});
export type WeaviateRow = z.infer<typeof rowSchema>;

const WORDS = ['deadlock', 'consensus', 'token', 'billing', 'schema', 'vector'];

/** All rows of one fresh server: those without a prefix, in the order in which they were sent. */
export function plainRows(): WeaviateRow[] {
  const file = join(import.meta.dirname, '..', 'vectors', 'weaviate.ndjson');
  const rows = readFileSync(file, 'utf8').trim().split('\n');
  const prefixed = /^(starting|autoschema|small|readonly|secured):/;
  return rows.map((line) => rowSchema.parse(JSON.parse(line))).filter(({ name }) => !prefixed.test(name));
}

/** `#n` is an id. */
export function withIdsIn(text: string): string {
  return text.replace(/#(\d+)/g, (_, n: string) => `00000000-0000-5000-8000-${n.padStart(12, '0')}`);
}

function vectorOf(n: number): number[] {
  const raw = [Math.cos(n / 7), Math.sin(n / 7), Math.cos(n / 3) / 2, Math.sin(n / 5) / 2];
  return raw.map((value) => Math.round(value * 1e4) / 1e4);
}

/** The object that `obj(C,n)` stands for. */
export function recordedObject(className: string, n: number): { id: string; vector: unknown; properties: object } {
  const properties = {
    text: `${WORDS[n % 6]} note number ${n}`,
    project: `p${n % 2}`,
    kind: n % 3 === 0 ? 'document' : 'message',
    discussion: `d${n % 4}`,
    at: new Date(Date.UTC(2026, 0, 1 + n)).toISOString(),
    seq: n,
    score: n / 2,
    done: n % 2 === 0,
    tags: [`t${n % 3}`, 'all'],
  };
  return Object.assign({ class: className }, { id: withIdsIn(`#${n}`), vector: vectorOf(n), properties });
}

/** Bodies that are described in words. @param classBody as in `spelledOut`. */
function described(text: unknown, classBody: object): unknown {
  const object = (n: number, other: object = {}) => ({ ...recordedObject('Q1', n), ...other });
  const batch = (...objects: unknown[]) => ({ objects });
  switch (text) {
    case 'the same':
      return classBody;
    case 'X × 230':
    case 'X × 300':
      return 'X'.repeat(Number(text.slice(4)));
    case 'obj 1…12':
      return batch(...Array.from({ length: 12 }, (_, i) => object(i + 1)));
    case 'obj 13, 14 (3 numbers), 15 {nope:1}, 16 {seq:"x"}, 17 in class Absent, 18': {
      const wrong = [object(15, { properties: { nope: 1 } }), object(16, { properties: { seq: 'x' } })];
      return batch(
        object(13),
        object(14, { vector: [1, 2, 3] }),
        ...wrong,
        object(17, { class: 'Absent' }),
        object(18),
      );
    }
    case 'obj 19, and one with id "nope"':
      return batch(object(19), object(20, { id: 'nope' }));
    case 'obj 19, obj 20 with vector ["a",0,0,0]':
      return batch(object(19), object(20, { vector: ['a', 0, 0, 0] }));
    case 'obj 19, obj 20 with vector [null,0,0,0.5]':
      return batch(object(19), object(20, { vector: [null, 0, 0, 0.5] }));
    case 'obj 19, null':
      return batch(object(19), null);
    case 'obj 21 text firstone seq 21; obj 21 vector of 3, text secondone, seq 22': {
      const second = { vector: vectorOf(3), properties: { text: 'secondone', seq: 22 } };
      return batch(object(21, { properties: { text: 'firstone', seq: 21 } }), object(21, second));
    }
    case 'obj(Q1,22), one of V1':
      return batch(object(22), { class: 'V1', id: withIdsIn('#22'), vector: [1, 0, 0, 0], properties: { text: 'x' } });
    case 'obj 70 vector all -1':
      return batch(object(70, { vector: [-1, -1, -1, -1] }));
    default:
      return undefined;
  }
}

/** What a body stands for. @param classBody of `cls(C)`: the class of the row `schema: create A1`. */
export function spelledOut(given: unknown, classBody: object): unknown {
  if (Array.isArray(given)) return given.map((each) => spelledOut(each, classBody));
  if (typeof given === 'object' && given !== null)
    return Object.fromEntries(Object.entries(given).map(([key, value]) => [key, spelledOut(value, classBody)]));
  if (typeof given !== 'string') return given;
  const body = described(given, classBody);
  if (body !== undefined) return body;
  const vector = /^v\((\d+)\)$/.exec(given);
  if (vector) return vectorOf(Number(vector[1]));
  const object = /^obj\((?:(\w+),)?(\d+)\)$/.exec(given);
  if (object) return recordedObject(object[1] ?? 'A1', Number(object[2]));
  const made = /^cls\((\w+)\)$/.exec(given);
  if (made) return { ...classBody, class: made[1] };
  return withIdsIn(given);
}

/** Where an answer differs from the recorded one; null when it fits: what is recorded must be there, more may be. */
export function difference(recorded: unknown, actual: unknown, at = ''): string | null {
  const differs = () => `${at}: ${JSON.stringify(actual)?.slice(0, 200)} instead of ${JSON.stringify(recorded)}`;
  if (typeof recorded === 'string') return fitsText(recorded, actual) ? null : differs();
  if (typeof recorded === 'number')
    return typeof actual === 'number' && Math.abs(actual - recorded) < 1e-4 * Math.max(1, recorded) ? null : differs();
  if (Array.isArray(recorded)) {
    if (!Array.isArray(actual)) return differs();
    const cut = recorded.findIndex((each) => typeof each === 'string' && each.startsWith('…('));
    if (cut < 0 && recorded.length !== actual.length) return differs();
    return first(
      recorded.slice(0, cut < 0 ? undefined : cut).map((each, i) => difference(each, actual[i], `${at}/${i}`)),
    );
  }
  if (typeof recorded === 'object' && recorded !== null) {
    // A batch of many is recorded by its length and its statuses.
    if ('statuses' in recorded && Array.isArray(actual)) return difference(recorded, summary(actual), at);
    if (typeof actual !== 'object' || actual === null) return differs();
    const parts = new Map<string, unknown>(Object.entries(actual));
    const keys = Object.entries(recorded).filter(([key, value]) => parts.has(key) || value !== null);
    return first(keys.map(([key, value]) => difference(value, parts.get(key), `${at}/${key}`)));
  }
  return recorded === actual ? null : differs();
}

function summary(batch: readonly unknown[]): object {
  const results = z.array(z.object({ result: z.object({ status: z.string() }) })).parse(batch);
  return { n: batch.length, statuses: [...new Set(results.map(({ result }) => result.status))] };
}

function first(differences: readonly (string | null)[]): string | null {
  return differences.find((each) => each !== null) ?? null;
}

/** `<…>` stands for anything, `…(n characters)` for a cut; an id also for the object that has it, a name for its class. */
function fitsText(recorded: string, actual: unknown): boolean {
  const vector = /^v\((\d+)\)$/.exec(recorded);
  if (vector) return difference(vectorOf(Number(vector[1])), actual) === null;
  if (/^<[^>]+>$/.test(recorded)) return true;
  const named = z
    .object({ id: z.string() })
    .or(z.object({ class: z.string() }))
    .safeParse(actual);
  const text: unknown = named.success ? Object.values(named.data)[0] : actual;
  if (typeof text !== 'string') return false;
  const literal = (part: string) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const [whole = '', cut] = methodsInOrder(withIdsIn(recorded)).split(/…\(\d+ characters\)$/);
  const pattern = whole
    .split(/<[^>]+>/)
    .map(literal)
    .join('.*');
  return new RegExp(`^${pattern}${cut === undefined ? '$' : ''}`, 's').test(methodsInOrder(text));
}

/** The server tells them in an order that is chance. */
function methodsInOrder(text: string): string {
  return text.replace(
    /but \[([A-Z,]+)\] are/g,
    (_, methods: string) => `but [${methods.split(',').sort().join()}] are`,
  );
}
