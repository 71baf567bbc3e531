import { createHash } from 'node:crypto';
import type { Policy, Why } from './events.ts';
import { present, type ExistingDiscussion, type Speaker } from './state.ts';

export interface Choice {
  readonly participantId: string;
  readonly why: Why;
}

/** Raised when a policy of the same name begins to choose otherwise; recorded with every choice. */
const POLICY_VERSION = 1;

/**
 * Who speaks next, and why. Pure: the same state chooses the same participant.
 * @returns null when nobody can be chosen (nobody is there, or the policy leaves it to people).
 */
export function chooseSpeaker(state: ExistingDiscussion): Choice | null {
  const candidates = present(state);
  if (candidates.length === 0) return null;
  const policy = state.policy;
  switch (policy.kind) {
    case 'manual':
      return null;
    case 'round-robin':
      return choice(policy, candidates, nextInOrder(state), 'next in the order of joining');
    case 'least-recently-spoke': {
      const chosen = candidates.reduce((best, each) => (each.lastTurn < best.lastTurn ? each : best));
      const reason =
        chosen.lastTurn === 0 ? 'has not had a turn yet' : `last had a turn at number ${chosen.lastTurn}, longest ago`;
      return choice(policy, candidates, chosen, reason, (each) => each.lastTurn);
    }
    case 'weighted-random':
      return drawn(policy, candidates, state.turnsRequested + 1);
    case 'addressed': {
      const named = candidates.find(
        (each) => each.participantId === state.addressed.find((id) => candidates.some((c) => c.participantId === id)),
      );
      if (named !== undefined)
        return choice(policy, candidates, named, `was addressed as @${named.name} in the last message`);
      return choice(policy, candidates, nextInOrder(state), 'nobody was addressed: next in the order of joining');
    }
  }
}

function choice(
  policy: Policy,
  candidates: readonly Speaker[],
  chosen: Speaker,
  reason: string,
  score?: (each: Speaker) => number,
): Choice {
  const why = {
    policy: policy.kind,
    policyVersion: POLICY_VERSION,
    reason,
    candidates: candidates.map((each) => each.participantId),
  };
  if (score === undefined) return { participantId: chosen.participantId, why };
  const scores = Object.fromEntries(candidates.map((each) => [each.participantId, score(each)]));
  return { participantId: chosen.participantId, why: { ...why, scores } };
}

/** The one after whoever had the floor last, also when that one has left meanwhile. */
function nextInOrder(state: ExistingDiscussion): Speaker {
  const all = state.participants;
  const last = all.findIndex((each) => each.lastTurn > 0 && each.lastTurn === Math.max(...all.map((p) => p.lastTurn)));
  const order = [...all.slice(last + 1), ...all.slice(0, last + 1)];
  const next = order.find((each) => !each.left);
  if (next === undefined) throw new RangeError('nobody is present');
  return next;
}

function drawn(
  policy: Extract<Policy, { kind: 'weighted-random' }>,
  candidates: readonly Speaker[],
  number: number,
): Choice {
  const given = (each: Speaker) => weightOf(policy.weights, each);
  const total = candidates.reduce((sum, each) => sum + given(each), 0);
  const weight = total > 0 ? given : () => 1;
  let rest = fraction(`${policy.seed}:${number}`) * (total > 0 ? total : candidates.length);
  let chosen = candidates.filter((each) => weight(each) > 0).at(-1) ?? candidates[0];
  for (const each of candidates) {
    rest -= weight(each);
    if (rest < 0) {
      chosen = each;
      break;
    }
  }
  if (chosen === undefined) throw new RangeError('nobody is present');
  return choice(policy, candidates, chosen, `drawn with seed ${policy.seed} for turn ${number}`, weight);
}

function weightOf(
  weights: Readonly<Record<string, number>>,
  { participantId, agentId, userId, name }: Speaker,
): number {
  const named = [participantId, agentId, userId, name].find((key) => key !== undefined && Object.hasOwn(weights, key));
  return named === undefined ? 1 : (weights[named] ?? 1);
}

/** A number in [0, 1) that depends on the text only. */
function fraction(text: string): number {
  return createHash('sha256').update(text).digest().readUIntBE(0, 6) / 2 ** 48;
}
