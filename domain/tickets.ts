/** What a one-use ticket opens and for whom; `holder` is text of the caller's own. */
export interface Ticket {
  readonly owner: string;
  readonly path: string;
  readonly holder: string;
}

/** How long a ticket lives, and how many may wait to be used. */
export interface TicketLimits {
  readonly lifeMs: number;
  readonly perOwner: number;
  readonly inAll: number;
}
