import type { PassageKind } from './offlinePassages.ts';
import { hashOf } from './offlineWords.ts';

export const stances = [
  'sceptic',
  'optimist',
  'pragmatist',
  'lawyer',
  'engineer',
  'moderator',
  'newcomer',
  'advocate',
] as const;
export type Stance = (typeof stances)[number];

/** How a turn may take up what was said before. */
export type ReplyKind = 'challenge' | 'build' | 'add' | 'concede';

interface StanceTraits {
  /** Found in the agent's instructions or name. */
  readonly signs: RegExp;
  /** Passages it looks for first. */
  readonly likes: readonly PassageKind[];
  readonly replies: readonly ReplyKind[];
}

export const stanceTraits: Readonly<Record<Stance, StanceTraits>> = {
  sceptic: {
    signs:
      /\b(s[ck]eptic\w*|critic\w*|devil'?s advocate|doubt\w*|challeng\w*|risks?|weakness\w*|flaws?|oppos\w*|pessimis\w*|cautio\w*|security|objections?|questions? everything|counter-?arguments?)\b/gi,
    likes: ['exclusion', 'condition', 'prohibition', 'contrast'],
    replies: ['challenge', 'challenge', 'add'],
  },
  optimist: {
    signs:
      /\b(optimis\w*|enthusias\w*|opportunit\w*|positive|benefits?|hopeful|vision\w*|support\w*|promot\w*|proponent|in favou?r|possibilit\w*|creative|innovat\w*)\b/gi,
    likes: ['permission', 'cause'],
    replies: ['build', 'build', 'add'],
  },
  pragmatist: {
    signs:
      /\b(pragmati\w*|practical\w*|realis\w*|product managers?|manager|business|costs?|budget|deliver\w*|decisions?|trade-?offs?|operat\w*|priorit\w*|founder|economi\w*)\b/gi,
    likes: ['obligation', 'number', 'permission'],
    replies: ['add', 'build', 'challenge'],
  },
  lawyer: {
    signs:
      /\b(lawyers?|legal\w*|attorney|counsel|complian\w*|regulat\w*|licen[cs](?:e|es|ing)|contracts?|liabilit\w*|judge|polic(?:y|ies)|jurist|auditors?)\b/gi,
    likes: ['definition', 'condition', 'exclusion', 'prohibition'],
    replies: ['challenge', 'add', 'build'],
  },
  engineer: {
    signs:
      /\b(engineer\w*|developers?|programm\w*|architect\w*|technical\w*|implement\w*|software|systems?|scientist|research\w*|data|evidence|measur\w*|test(?:s|er|ing)?|protocols?|analy\w*)\b/gi,
    likes: ['number', 'obligation', 'condition', 'definition'],
    replies: ['add', 'challenge', 'build'],
  },
  moderator: {
    signs:
      /\b(moderat\w*|facilitat\w*|summar\w*|chair\w*|mediat\w*|host|neutral\w*|consensus|synthesi\w*|keep (?:the )?(?:discussion|time)|referee|scribe)\b/gi,
    likes: ['definition', 'plain'],
    replies: ['add', 'add', 'build'],
  },
  newcomer: {
    signs:
      /\b(newcomer\w*|beginner\w*|novice|student\w*|layperson|lay person|learner|junior|curious|naive|plain (?:words|language)|know nothing|no background|outsider)\b/gi,
    likes: ['definition', 'plain', 'permission'],
    replies: ['add', 'build', 'add'],
  },
  advocate: {
    signs:
      /\b(users?|customers?|people|communit\w*|ethic\w*|fairness|fair|privacy|accessib\w*|society|social|human\w*|public|citizens?|patients?|workers?|teachers?|parents?|maintainers?|contributors?)\b/gi,
    likes: ['permission', 'prohibition', 'exclusion', 'obligation'],
    replies: ['build', 'challenge', 'add'],
  },
};

/** Those who have no sign of a stance take one of these, by their name. */
const byName: readonly Stance[] = ['pragmatist', 'sceptic', 'optimist', 'engineer', 'advocate'];

/** The stance that an agent's name and instructions speak of most; a word in the name counts like three. */
export function stanceOf(name: string, instructions: string): Stance {
  let best: Stance | null = null;
  let most = 0;
  for (const stance of stances) {
    const { signs } = stanceTraits[stance];
    const inText = [...instructions.matchAll(signs)];
    // Instructions begin with who one is; what follows is about the subject.
    const early = inText.filter(({ index }) => index < 60).length;
    const score = (name.match(signs)?.length ?? 0) * 3 + inText.length + early * 1.5;
    if (score > most) [best, most] = [stance, score];
  }
  return best ?? byName[hashOf(name.toLowerCase()) % byName.length] ?? 'pragmatist';
}
