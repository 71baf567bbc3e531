/**
 * The data file of the EventStoreDB stand-in: one line for each write, synced before the write is acknowledged. A line
 * that a kill cut short was never acknowledged and is taken away on the next start.
 */
import { closeSync, existsSync, fdatasyncSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs';
import type { LogRecord, StoredEvent } from './eventstoredbLog.ts';

export interface StandinFile {
  /** What the file held when it was opened, in order. */
  readonly restored: readonly LogRecord[];
  persist(records: readonly LogRecord[]): void;
  close(): void;
}

type Line = (Omit<LogRecord, 'event'> & { event: StoredLine | null })[];
type StoredLine = Omit<StoredEvent, 'data' | 'metadata' | 'revision'> &
  Record<'data' | 'metadata' | 'revision', string>;

/** Opens or makes the file. Throws when a complete line cannot be read. */
export function openStandinFile(path: string): StandinFile {
  const bytes = existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
  const whole = bytes.subarray(0, bytes.lastIndexOf('\n') + 1);
  if (whole.length < bytes.length) truncateSync(path, whole.length);
  const lines = whole.toString('utf8').split('\n').filter(Boolean);
  const file = openSync(path, 'a');
  return {
    restored: lines.flatMap((line) => (JSON.parse(line) as Line).map(decoded)),
    persist: (records) => {
      writeSync(file, `${JSON.stringify(records.map(encoded))}\n`);
      fdatasyncSync(file);
    },
    close: () => closeSync(file),
  };
}

function encoded(record: LogRecord): Line[number] {
  const { event } = record;
  if (!event) return { ...record, event: null };
  const [data, metadata] = [event.data.toString('base64'), event.metadata.toString('base64')];
  return { ...record, event: { ...event, data, metadata, revision: String(event.revision) } };
}

function decoded(record: Line[number]): LogRecord {
  const { event } = record;
  if (!event) return { ...record, event: null };
  const [data, metadata] = [Buffer.from(event.data, 'base64'), Buffer.from(event.metadata, 'base64')];
  return { ...record, event: { ...event, data, metadata, revision: BigInt(event.revision) } };
}
