import { Refusal } from '../domain/refusal.ts';

/** What an operator's role has to hold (W21). */
const RIGHTS =
  'read_collections on *; create, update and delete_collections, and create, read, update and delete_data on Colloquy_*';

const KNOWN: readonly (readonly [RegExp, string])[] = [
  [
    /read-only/i,
    'Weaviate takes no writes, because its disk is over DISK_USE_READONLY_PERCENTAGE: free space, then set the shard to READY (PUT /v1/schema/<class>/shards/<shard>)',
  ],
  [/no graphql provider/i, 'Weaviate is starting'],
  [/no space left/i, 'the disk of the Weaviate server is full'],
];

/**
 * An answer of Weaviate's that is no success: a status, errors of GraphQL, an object that FAILED. What it said stays
 * inside: it may repeat the query, its vector and its texts (W18).
 */
export class WeaviateFault extends Error {
  readonly status: number;
  readonly #said: string;

  constructor(what: string, status: number, said: string) {
    super(`Weaviate refused ${what} (${status})`);
    this.name = 'WeaviateFault';
    this.status = status;
    this.#said = said;
  }

  /** Whether it said so. */
  says(pattern: RegExp): boolean {
    return pattern.test(this.#said);
  }

  /** The right that a 403 says is missing. */
  missingRight(): string | null {
    const [, plain, quoted] = /permissions? to (?:([a-z_]+)|`([a-z_]+)`)/.exec(this.#said) ?? [];
    return plain ?? quoted ?? null;
  }
}

/** What everybody else hears of it: no query, no text, no key. Refusals stay as they are. */
export function refusalOf(error: unknown): unknown {
  if (!(error instanceof WeaviateFault)) return error;
  const { status } = error;
  if (status === 401) return wrongSetting('Weaviate refuses the key: correct WEAVIATE_API_KEY');
  if (status === 403)
    return wrongSetting(`the role of WEAVIATE_API_KEY lacks ${error.missingRight() ?? 'a right'}: it needs ${RIGHTS}`);
  const known = KNOWN.find(([pattern]) => error.says(pattern));
  return new Refusal('unavailable', known?.[1] ?? `${error.message}: see its log`);
}

/** For `catch`: throws what `refusalOf` makes of it. */
export function fail(error: unknown): never {
  throw refusalOf(error);
}

/** For what stays so until somebody changes a setting. */
export function wrongSetting(detail: string): Refusal {
  return new Refusal('unavailable', detail, { retryable: false });
}
