/**
 * Frames around everything that participants wrote. A frame's fence holds the discussion's nonce, which nobody can guess
 * while writing and which is broken up wherever it appears, so a text cannot end its frame or forge another one.
 */

/** How a frame's first line names what it holds. */
export type FrameLabel = 'topic' | 'document' | 'participants' | 'message' | 'recalled' | 'you';

const BREAK = '\u2060';

/** A framed text. `title` is one line. */
export function frame(
  nonce: string,
  label: FrameLabel,
  title: string,
  text: string,
  controlTokens: readonly string[],
): string {
  return `<<${nonce} ${label}: ${harmless(title, nonce, controlTokens)}>>\n${harmless(text, nonce, controlTokens)}\n<</${nonce}>>`;
}

/**
 * Breaks up what a model's template or a reader of frames would take for structure: the nonce, control tokens such as
 * `<|im_start|>` (live even inside a message's text, seen with Ollama), and lines that pose as another role.
 */
export function harmless(text: string, nonce: string, controlTokens: readonly string[]): string {
  let safe = text;
  for (const token of [nonce, ...controlTokens]) safe = broken(safe, token);
  return safe.replace(/^([ \t]*)(system|assistant|user|developer|tool)([ \t]*:)/gim, `$1'$2'$3`);
}

/** Every occurrence, overlapping ones too: "####" holds "###" twice, and breaking the first alone would leave one. */
function broken(text: string, token: string): string {
  const first = token.match(/^./su)?.[0] ?? '';
  const rest = token.slice(first.length);
  if (rest === '' || !text.includes(token)) return text;
  return text.replace(new RegExp(`${literally(first)}(?=${literally(rest)})`, 'g'), () => first + BREAK);
}

function literally(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

export interface Framed {
  readonly label: string;
  readonly title: string;
  readonly text: string;
}

/** Reads the frames of a rendered text again, in order. */
export function readFrames(text: string): Framed[] {
  const pattern = /<<([0-9a-f]{16,64}) (\w+): (.*)>>\n([\s\S]*?)\n<<\/\1>>/g;
  return [...text.matchAll(pattern)].map((match) => ({
    label: match[2] ?? '',
    title: match[3] ?? '',
    text: match[4] ?? '',
  }));
}
