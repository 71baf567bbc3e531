import type { Limits } from '../domain/discussion/events.ts';

/** Without the limits that were not given: `undefined` must not overwrite what is there. */
export function definedOnly(limits: { [K in keyof Limits]?: Limits[K] | undefined }): Partial<Limits> {
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined));
}
