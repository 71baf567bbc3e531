/**
 * Takes the marks of frames out of an answer while it streams in: small models repeat the form of what they read (seen
 * with a model of 135 million parameters in nearly every answer), and a mark is never something that was meant.
 */
export interface EchoFilter {
  /** @returns what of the text so far is certain to stay; the rest is held back until it is known. */
  feed(piece: string): string;
  /** The answer has ended: what is left. */
  end(): string;
}

/** A frame's first or last line, also half-made or with a wrong nonce: `<<3f2a… you: Ada>>`, `<</3f2a…>`. */
const MARK = /^<<\/?[0-9a-f]{4,64}[^\n<>]{0,120}>{1,2}/;
/** A first line that never closes: `<<3f2a9c0d… participant: I think …`. */
const OPENED = /^<<\/?[0-9a-f]{8,64} +\w+: ?/;
/** Longer than any mark: what has not closed by then is text. */
const MAX_HELD = 200;

/** A filter for one answer. */
export function createEchoFilter(): EchoFilter {
  let held = '';
  let begun = false;
  const settle = (final: boolean): string => {
    let out = '';
    for (;;) {
      const at = held.indexOf('<');
      if (at < 0) {
        out += held;
        held = '';
        return out;
      }
      out += held.slice(0, at);
      held = held.slice(at);
      const mark = MARK.exec(held)?.[0];
      // One `>` may be followed by the second one in the next piece.
      if (mark !== undefined && (final || mark.endsWith('>>') || held.length > mark.length)) {
        held = held.slice(mark.length).replace(/^\n/, '');
        continue;
      }
      const undecided = !final && held.length < MAX_HELD && /^<(<(\/?[0-9a-f]{0,64}[^\n<>]{0,120}>?)?)?$/.test(held);
      if (undecided) return out;
      const opened = OPENED.exec(held)?.[0];
      if (opened !== undefined) {
        held = held.slice(opened.length);
        continue;
      }
      out += held.slice(0, 1);
      held = held.slice(1);
    }
  };
  /** Line breaks before the first word come from marks that were taken out. */
  const trimmed = (text: string): string => {
    if (begun) return text;
    const rest = text.replace(/^\s+/, '');
    begun = rest !== '';
    return rest;
  };
  return {
    feed(piece) {
      held += piece;
      return trimmed(settle(false));
    },
    end: () => trimmed(settle(true)),
  };
}
