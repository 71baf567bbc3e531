/** Checkpoints as the API shows them. */
import { z } from 'zod';
import type { SignedCheckpoint } from '../../domain/audit/note.ts';

export const checkpointSchema = z
  .strictObject({
    size: z.int(),
    root: z.string(),
    position: z.string(),
    leaf: z.string(),
    at: z.string(),
    keyIds: z.array(z.string()),
    /** The signed text itself (C2SP tlog-checkpoint). */
    note: z.string(),
  })
  .meta({ id: 'Checkpoint' });
/** A hash, for examples. */
export const exampleHash = '9c'.repeat(32);
export const exampleNote =
  'colloquy/5d0f6a52-0f6c-4ab4-9d24-6f1a4c3f4a11\n2\nXcnaeacGWamkVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\nposition 2\n' +
  `leaf ${exampleHash}\ntime 2025-01-31T12:00:00.000Z\n\n— colloquy/5d0f6a52-0f6c-4ab4-9d24-6f1a4c3f4a11 ${'A'.repeat(90)}==\n`;
export const exampleCheckpoint = {
  size: 2,
  root: '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
  position: '2',
  leaf: exampleHash,
  at: '2025-01-31T12:00:00.000Z',
  keyIds: ['9c9c9c9c'],
  note: exampleNote,
};
/** A checkpoint as JSON, hashes in hexadecimal digits. */
export function checkpointOnTheWire({ checkpoint, keyIds, note: text }: SignedCheckpoint) {
  const { size, root, position, leaf, at } = checkpoint;
  return { size, root: hex(root), position: position.toString(), leaf, at, keyIds, note: text };
}

/** Bytes as hexadecimal digits. */
export function hex(node: Uint8Array): string {
  return Buffer.from(node).toString('hex');
}
