/** Requests of one principal or address. */
export interface Hits {
  readonly key: string;
  readonly hits: number;
}
