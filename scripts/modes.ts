/** What a process of Colloquy does, and which settings that needs. */
import { Refusal } from '../domain/refusal.ts';
import type { Settings } from '../infra/config.ts';

/** `start` is all in one; `api` and `worker` are what it is made of, any number of each. */
export type Mode = 'start' | 'api' | 'worker';
export type Role = Settings['WORKER_ROLES'][number];

/** Roles of one process that hear from each other in memory. */
const TOLD: readonly Role[] = ['projector', 'relay', 'sweeper', 'turns'];

/** What the process does beside serving HTTP. */
export function rolesOf(mode: Mode, settings: Settings): ReadonlySet<Role> {
  return new Set(mode === 'api' ? [] : settings.WORKER_ROLES);
}

/** @throws Refusal `invalid` for settings that contradict each other, with what to do. */
export function checkModes(mode: Mode, settings: Settings): void {
  const { DATABASE_URL, DATABASE_READ_URL, EVENTSTORE_URL, NATS_URL, WORKER_ROLES } = settings;
  const needs = (what: string, name: string, why: string) => {
    throw new Refusal('invalid', `${what} needs ${name}: ${why}`);
  };
  if (EVENTSTORE_URL !== undefined && DATABASE_URL === undefined)
    needs('EVENTSTORE_URL', 'DATABASE_URL', 'the embedded database keeps no read models of a log elsewhere; set it');
  if (DATABASE_READ_URL !== undefined && DATABASE_URL === undefined)
    needs('DATABASE_READ_URL', 'DATABASE_URL', 'a replica only follows a server; set both, or neither');
  if (mode === 'start') {
    // The others are told nothing.
    if (NATS_URL === undefined && TOLD.some((role) => !WORKER_ROLES.includes(role)))
      needs('WORKER_ROLES', 'NATS_URL', 'what this process leaves out, others must do; set it, or unset WORKER_ROLES');
    return;
  }
  if (DATABASE_URL === undefined)
    needs(`colloquy ${mode}`, 'DATABASE_URL', 'processes share a PostgreSQL; for one process use `colloquy start`');
  if (NATS_URL === undefined)
    needs(`colloquy ${mode}`, 'NATS_URL', 'processes wake each other by NATS; for one process use `colloquy start`');
}
