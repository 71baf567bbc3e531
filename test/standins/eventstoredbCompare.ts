/**
 * Compares an answer of EventStoreDB with a recorded one as test/vectors says: ids of subscriptions and instances, times
 * and ports never; positions only by their order and by which are equal, over all cases of a run.
 */
import { isDeepStrictEqual } from 'node:util';

export interface Comparison {
  /** What differs, one line each; empty when the answer is as recorded. */
  differences(recorded: unknown, answered: unknown): string[];
  /** This server's position for a recorded one. Throws for one that no answer has named. */
  placed(recorded: string): string;
}

const POSITIONS = new Set(['commitPosition', 'preparePosition', 'commit', 'prepare', 'readEventCommit']);
/** `decoded` repeats `hex`; gRPC's own trailers differ between servers without meaning anything. */
const IGNORED = new Set([
  'instanceId',
  'timeStamp',
  'created',
  'port',
  'decoded',
  'content-type',
  'content-length',
  'date',
]);
/** Of a call that was late, made up by the client. */
const WORDS = new Set(['details', 'message']);
const DEADLINE_EXCEEDED = 4;

/** One for a whole run against one server; `suffix` stands where the recording says RUN. */
export function createComparison(suffix: string): Comparison {
  const known = new Map<bigint, bigint>([[0n, 0n]]);
  const position = (recorded: bigint, answered: bigint): string | null => {
    const before = known.get(recorded);
    if (before !== undefined) return before === answered ? null : `is ${answered}, was ${before} before`;
    const wrong = [...known].find(([one, other]) => one < recorded !== other < answered || other === answered);
    if (wrong) return `is ${answered}, but ${wrong[1]} stands for ${wrong[0]} of the recording`;
    known.set(recorded, answered);
    return null;
  };

  const walk = (recorded: unknown, answered: unknown, path: string, key: string): string[] => {
    if (POSITIONS.has(key) && isNumber(recorded) && isNumber(answered)) {
      const problem = position(numberOf(recorded), numberOf(answered));
      return problem === null ? [] : [`${path} ${problem}`];
    }
    if (Array.isArray(recorded) && Array.isArray(answered) && recorded.length === answered.length)
      return recorded.flatMap((one, index) => walk(one, answered[index], `${path}[${index}]`, key));
    if (isObject(recorded) && isObject(answered)) {
      const keys = new Set([...Object.keys(recorded), ...Object.keys(answered)]);
      const skipped = (name: string): boolean =>
        IGNORED.has(name) || (WORDS.has(name) && recorded['code'] === DEADLINE_EXCEEDED);
      return [...keys]
        .filter((name) => !skipped(name))
        .flatMap((name) => walk(recorded[name], answered[name], `${path}.${name}`, name));
    }
    // The deprecated field holds -1 as an unsigned number, which JavaScript rounds.
    if (Number(recorded) > 2 ** 63 && Number(answered) > 2 ** 63) return [];
    if (isDeepStrictEqual(recorded, answered)) return [];
    return [`${path} should be ${brief(recorded)}, is ${brief(answered)}`];
  };

  return {
    differences: (recorded, answered) => {
      const wanted = withSuffix(recorded, suffix);
      return walk(wanted, shortened(wanted, answered), 'got', '');
    },
    placed: (recorded) => {
      const answered = known.get(BigInt(recorded));
      if (answered === undefined) throw new Error(`no answer has named a position for ${recorded} of the recording`);
      return String(answered);
    },
  };
}

/** Replaces RUN, in a hexadecimal text by the suffix in hexadecimal (there the recording's own run was r1). */
export function withSuffix(value: unknown, suffix: string): unknown {
  const hex = Buffer.from(suffix).toString('hex');
  const text = JSON.stringify(value) ?? 'null';
  return JSON.parse(text.replaceAll('-RUN', `-${suffix}`).replaceAll('2d7231"', `2d${hex}"`)) as unknown;
}

/** The answer's events in the short form, where the recording has that. */
function shortened(recorded: unknown, answered: unknown): unknown {
  if (!isObject(recorded) || !isObject(answered)) return answered;
  const [wanted, messages] = [recorded['messages'], answered['messages']];
  if (!Array.isArray(wanted) || !Array.isArray(messages)) return answered;
  const made = messages.map((message: unknown, index): unknown => {
    const one: unknown = wanted[index];
    return isObject(one) && isObject(one['event']) ? message : shortEvent(message);
  });
  return { ...answered, messages: made };
}

function shortEvent(message: unknown): unknown {
  const read = isObject(message) ? message['event'] : undefined;
  const event = isObject(read) ? read['event'] : undefined;
  if (!isObject(read) || !isObject(event)) return message;
  const [stream, metadata] = [event['streamIdentifier'], event['metadataMap']];
  return {
    event: `${isObject(stream) ? String(stream['streamName']) : ''}@${String(event['streamRevision'])}`,
    type: isObject(metadata) ? metadata['type'] : undefined,
    commit: event['commitPosition'],
    prepare: event['preparePosition'],
    readEventCommit: read['commitPosition'],
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** In decimals, as texts; the client's own are bigints and end in n. */
function isNumber(value: unknown): value is string {
  return typeof value === 'string' && /^\d+n?$/.test(value);
}

function numberOf(text: string): bigint {
  return BigInt(text.replace('n', ''));
}

function brief(value: unknown): string {
  return (JSON.stringify(value) ?? 'nothing').slice(0, 300);
}
