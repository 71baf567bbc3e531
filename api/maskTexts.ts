/** What a value is made of, without what it says: each text as its length, each number and boolean as its type. */
export function maskTexts(value: unknown): unknown {
  if (typeof value === 'string') return `<text of ${value.length}>`;
  if (typeof value === 'number' || typeof value === 'boolean') return `<${typeof value}>`;
  if (Array.isArray(value)) return value.map(maskTexts);
  if (typeof value !== 'object' || value === null) return null;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, maskTexts(each)]));
}
