/** Verifies an export by itself: no database, no network, no service. */
import { createHash } from 'node:crypto';
import { Refusal } from '../refusal.ts';
import { type ExportedEvent, type ExportLine, exportLineSchema, type Manifest, recordOf } from './exportFormat.ts';
import { leafOf } from './leaf.ts';
import { type Checkpoint, readNote, readPublicKey, signedBy } from './note.ts';
import { rootOfMany } from './proofs.ts';

/** What came out. */
export interface ExportVerdict {
  readonly verdict: 'ok' | 'violation';
  readonly what: Manifest['what'] | null;
  readonly origin: string | null;
  readonly events: number;
  /** Events that the signed checkpoint proves; the others were younger than it. */
  readonly covered: number;
  readonly checkpoint: {
    readonly size: number;
    readonly position: string;
    readonly at: string;
    readonly root: string;
  } | null;
  /** Whether the signature is one of the keys that were given; false: only of the key in the file itself. */
  readonly trusted: boolean;
  readonly findings: readonly string[];
}

export interface VerifyExportOptions {
  /** Public keys that are trusted, 32 bytes each; none: the one in the file is taken. */
  readonly keys: readonly Uint8Array[];
  /** What somebody has kept of the log: the root of its first `size` events, null when they cannot tell. */
  readonly knownRoot?: (size: number) => Promise<Uint8Array | null>;
  /** Told of every event that was read, in order. */
  readonly onEvent?: (event: ExportedEvent) => Promise<void> | void;
}

const MOST_FINDINGS = 50;

interface Reading {
  manifest: Manifest | null;
  end: Extract<ExportLine, { kind: 'end' }> | null;
  readonly indices: number[];
  readonly leaves: Buffer[];
  readonly nodes: Buffer[];
  /** Last revision of each stream. */
  readonly revisions: Map<string, number>;
  readonly ancestors: { discussionId: string; revision: number }[];
  /** Position of the first event that says to be younger than the checkpoint. */
  young: bigint | null;
  events: number;
  readonly findings: string[];
}

/** @param lines without their line feeds. Never throws for what the file holds. */
export async function verifyExport(lines: AsyncIterable<string>, options: VerifyExportOptions): Promise<ExportVerdict> {
  const reading: Reading = {
    ...{ manifest: null, end: null, indices: [], leaves: [], nodes: [], events: 0 },
    ...{ revisions: new Map<string, number>(), ancestors: [], young: null, findings: [] },
  };
  const { findings } = reading;
  const hash = createHash('sha256');
  for await (const text of lines) {
    const line = parsed(text);
    if (line === null || reading.end !== null || (line.kind === 'manifest') !== (reading.manifest === null)) {
      findings.push(`a line is not one of an export: ${text.slice(0, 80)}`);
      break;
    }
    if (line.kind === 'end' && hash.copy().digest('hex') !== line.sha256)
      findings.push('the file was changed: its hash differs');
    hash.update(`${text}\n`);
    take(reading, line);
    if (line.kind === 'event') await options.onEvent?.(line);
    if (findings.length >= MOST_FINDINGS) break;
  }
  checkEnd(reading);
  const { manifest } = reading;
  const { checkpoint, trusted } = checkSignature(reading, options.keys);
  if (checkpoint !== null) await checkRoot(reading, checkpoint, options);
  return {
    verdict: findings.length === 0 ? 'ok' : 'violation',
    what: manifest?.what ?? null,
    origin: manifest?.origin ?? null,
    events: reading.events,
    covered: reading.indices.length,
    checkpoint: checkpoint === null ? null : { ...shown(checkpoint), root: checkpoint.root.toString('hex') },
    trusted,
    findings: findings.slice(0, MOST_FINDINGS),
  };
}

function shown({ size, position, at }: Checkpoint) {
  return { size, position: position.toString(), at };
}

function parsed(text: string): ExportLine | null {
  try {
    return exportLineSchema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

function take(reading: Reading, line: ExportLine): void {
  if (line.kind === 'manifest') reading.manifest = line;
  else if (line.kind === 'event') takeEvent(reading, line);
  else if (line.kind === 'proof') for (const node of line.nodes) reading.nodes.push(Buffer.from(node, 'base64'));
  else if (line.kind === 'end') reading.end = line;
  else reading.findings.push(`the export broke off: ${line.detail}`);
}

function takeEvent(reading: Reading, event: ExportedEvent): void {
  const { stream, revision, index, previous } = event;
  const { revisions, indices, leaves, findings, manifest } = reading;
  const named = `${stream} revision ${revision} (position ${event.position})`;
  reading.events += 1;
  const before = revisions.get(stream) ?? ('discussionId' in (manifest?.what ?? {}) ? -1 : revision - 1);
  if (revision !== before + 1) findings.push(`${named}: revision ${before + 1} of its stream is missing before it`);
  revisions.set(stream, revision);
  if (event.type === 'DiscussionForked') reading.ancestors.push(...ancestorsIn(event.data));
  if (index === null || previous === null) {
    reading.young ??= BigInt(event.position);
    return;
  }
  const last = indices.at(-1) ?? -1;
  if (index <= last) findings.push(`${named}: events are not in the order of the log`);
  const range = manifest !== null && 'from' in manifest.what;
  if (range && last >= 0 && index !== last + 1)
    findings.push(`${named}: ${index - last - 1} events are missing before it`);
  if (index === last + 1 && last >= 0 && leaves.at(-1)?.toString('hex') !== previous)
    findings.push(`${named}: the event before it, or it, was changed`);
  indices.push(index);
  leaves.push(Buffer.from(leafOf(recordOf(event), previous), 'hex'));
}

/** What was inherited belongs to a discussion as much as its own events. */
function ancestorsIn(data: string): { discussionId: string; revision: number }[] {
  const { ancestors } = JSON.parse(data) as { ancestors?: { discussionId: string; revision: number }[] };
  return ancestors ?? [];
}

function checkEnd({ manifest, end, events, indices, revisions, ancestors, findings }: Reading): void {
  if (manifest === null) return void findings.push('there is no manifest');
  if (end === null) return void findings.push('the file was cut short: its last line is missing');
  if (end.events !== events || end.covered !== indices.length)
    findings.push(`${end.events} events were written, ${events} are here`);
  const inherited = ancestors.map(({ discussionId, revision }) => ({
    stream: `discussion-${discussionId}`,
    until: revision,
  }));
  // The manifest is not signed: what it says to hold must be there.
  const asked =
    'discussionId' in manifest.what ? [{ stream: `discussion-${manifest.what.discussionId}`, until: null }] : [];
  for (const { stream, until } of [...asked, ...manifest.streams, ...inherited]) {
    const last = revisions.get(stream) ?? -1;
    if (last < (until ?? 0)) findings.push(`${stream} is not complete: it ends at revision ${last}`);
  }
}

function checkSignature(
  { manifest, findings }: Reading,
  keys: readonly Uint8Array[],
): { checkpoint: Checkpoint | null; trusted: boolean } {
  if (manifest?.checkpoint == null) {
    findings.push('there is no signed checkpoint: nothing is proven');
    return { checkpoint: null, trusted: false };
  }
  try {
    const { checkpoint } = readNote(manifest.checkpoint);
    const trusted = keys.length > 0;
    if (signedBy(manifest.checkpoint, trusted ? keys : [readPublicKey(manifest.publicKey)]) === null)
      findings.push(
        trusted ? 'the checkpoint is not signed by a key that you trust' : 'the checkpoint’s signature is wrong',
      );
    if (checkpoint.origin !== manifest.origin) findings.push('the checkpoint is of another log');
    return { checkpoint, trusted };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    findings.push(error.message);
    return { checkpoint: null, trusted: false };
  }
}

async function checkRoot(
  { indices, leaves, nodes, young, findings }: Reading,
  { size, root, position }: Checkpoint,
  { knownRoot }: VerifyExportOptions,
): Promise<void> {
  // Else whoever changed an event could say that it was not covered yet.
  if (young !== null && young <= position) findings.push(`the event at position ${young} is covered, but not proven`);
  const found = rootOfMany(indices, size, leaves, nodes);
  if (found === null || Buffer.compare(found, root) !== 0)
    findings.push('the events do not lead to the root of the signed checkpoint: some of them were changed');
  const known = await knownRoot?.(size);
  if (known === null) findings.push(`the evidence given does not reach to the checkpoint of ${size} events`);
  else if (known !== undefined && Buffer.compare(known, root) !== 0)
    findings.push('the evidence given is of another history than the checkpoint');
}
