/** Lines in a frame. Lines that are too long stand without their right edge, so that they can be copied whole. */
export function box(lines: readonly string[], width = 96): string {
  const rule = '─'.repeat(width);
  const inner = lines.map((line) => (line.length <= width - 2 ? `│ ${line.padEnd(width - 2)} │` : `│ ${line}`));
  return [`╭${rule}╮`, ...inner, `╰${rule}╯`].join('\n');
}
