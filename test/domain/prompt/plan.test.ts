import fc from 'fast-check';
import * as assert from 'uvu/assert';
import type { AgentProfile } from '../../../domain/agent/events.ts';
import { estimateTokens } from '../../../domain/content.ts';
import type { ModelDescription } from '../../../domain/model.ts';
import { planPrompt } from '../../../domain/prompt/plan.ts';
import { recalledPart, type Recalled } from '../../../domain/prompt/recalled.ts';
import { renderPrompt, type Utterance } from '../../../domain/prompt/render.ts';
import { abandon, agent, claim, given, post, spoken, type Scene } from '../given.ts';
import { suite } from '../../harness.ts';

const test = suite('prompt plans');

const model: ModelDescription = {
  provider: 'ollama',
  name: 'smollm2:135m',
  digest: 'sha256:abc',
  contextTokens: 8192,
  defaultContextTokens: 4096,
  controlTokens: ['<|im_start|>'],
};
const document = Array.from({ length: 60 }, (_, i) => `Paragraph ${i}. ${'Tea is a leaf. '.repeat(20)}`).join('\n\n');

function profile(more: Partial<AgentProfile> = {}, parameters: AgentProfile['model']['parameters'] = {}): AgentProfile {
  return {
    name: 'Ada',
    instructions: 'Be brief.',
    ...more,
    model: { provider: 'ollama', name: 'smollm2:135m', parameters },
  };
}

function planned(at: Scene, by: AgentProfile = profile(), text: string | null = null, described = model) {
  return planPrompt(at.existing(), { profile: by, version: 3 }, described, text);
}

/** The prompt as the worker would render it. */
function rendered(
  at: Scene,
  by: AgentProfile,
  text: string | null,
  recalled: readonly Recalled[] = [],
  described = model,
) {
  const { basis } = planned(at, by, text, described);
  const state = at.existing();
  const transcript = at.log.flatMap((event, revision): Utterance[] =>
    event.type === 'MessagePosted' && revision >= (basis.window?.from ?? Infinity)
      ? [{ revision, author: event.data.author.name, text: event.data.content.map((part) => part.text).join('\n') }]
      : [],
  );
  const { nonce, title, topic } = state;
  const participants = state.participants.map((each) => each.name);
  const rest = { participants, transcript, recalled, speaker: by, turnNumber: 1 };
  const material = { nonce, title, topic, contextText: text, ...rest };
  return renderPrompt(material, basis).messages;
}

function talked(messages: number, length: number, people = 2): Scene {
  let at = given({ participants: Array.from({ length: people }, (_, i) => agent(`Participant number ${i}`)) });
  for (let i = 0; i < messages; i += 1) at = at.when(post('Eve', 'tea '.repeat(Math.ceil(length / 4))));
  return at;
}

test('records what it used', () => {
  const { basis, reserved } = planned(given(), profile({}, { temperature: 0.5 }));
  assert.equal(basis, {
    renderer: 'r2',
    window: null,
    context: [],
    messageChars: 4880,
    agentVersion: 3,
    model: { provider: 'ollama', name: 'smollm2:135m', digest: 'sha256:abc' },
    parameters: { temperature: 0.5, num_ctx: 4096, num_predict: 400 },
    controlTokens: ['<|im_start|>'],
  });
  assert.ok(reserved > 400 && reserved < 1200, `${reserved}`);
});

test('the context is what the agent says, at most the model’s; the answer at most half of it', () => {
  const sizes = (given_: AgentProfile['model']['parameters'], described = model) => {
    const { num_ctx, num_predict } = planned(given(), profile({}, given_), null, described).basis.parameters;
    return [num_ctx, num_predict];
  };
  assert.equal(sizes({ num_ctx: 2048 }), [2048, 400]);
  assert.equal(sizes({ num_ctx: 100_000, num_predict: 8000 }), [8192, 4096]);
  assert.equal(sizes({}, { ...model, contextTokens: 512 }), [512, 256]);
});

test('attempt n sends seed + n − 1, wrapping; no seed, none sent', () => {
  let at = given();
  const seeds: (number | undefined)[] = [];
  for (let i = 0; i < 3; i += 1) {
    seeds.push(planned(at, profile({}, { seed: 2_147_483_646 })).basis.parameters.seed);
    assert.is(planned(at).basis.parameters.seed, undefined);
    const held = at.when(claim(at));
    at = held.when(abandon(held, { reason: 'lease_lost' }));
  }
  assert.equal(seeds, [2_147_483_646, 2_147_483_647, 0]);
});

test(
  'the rendered prompt and the answer fit in the context, and within what was set aside',
  () => {
    const instructions = fc.nat(2000).map((n) => 'Be kind. '.repeat(Math.ceil(n / 9)));
    const sizes = fc.tuple(fc.nat(40), fc.integer({ min: 4, max: 800 }), fc.constantFrom(2, 10, 50));
    fc.assert(
      fc.property(sizes, instructions, fc.boolean(), fc.constantFrom(4096, 8192), (size, text, long, num_ctx) => {
        const at = talked(...size);
        const by = profile({ instructions: text }, { num_ctx, num_predict: 300 });
        const { reserved } = planned(at, by, long ? document : null);
        const prompt = rendered(at, by, long ? document : null).reduce(
          (sum, { content }) => sum + estimateTokens(content),
          0,
        );
        assert.ok(prompt + 300 <= num_ctx, `${prompt} tokens of ${num_ctx}`);
        assert.ok(prompt + 300 <= reserved, `${prompt} + 300 tokens, ${reserved} set aside`);
      }),
      { numRuns: 60, includeErrorInReport: true },
    );
  },
  { deadlineMs: 30_000 },
);

function remembering(maxTokens: number): AgentProfile['memory'] {
  return { scope: 'discussion', k: 20, maxTokens, minScore: 0 };
}

/** Passages of `length` characters, as many as may be shown. */
function recalledUpTo(tokens: number, length: number): Recalled[] {
  const passages: Recalled[] = [];
  const size = () => estimateTokens(recalledPart(passages, '0123456789abcdef', ['<|im_start|>']));
  while (passages.length < 20 && size() <= tokens) passages.push({ title: 'Ada, earlier', text: 'x'.repeat(length) });
  return passages.slice(0, -1);
}

test(
  'what is recalled is taken off window and document: the prompt fits all the same',
  () => {
    const sizes = fc.tuple(fc.nat(40), fc.integer({ min: 4, max: 800 }), fc.constantFrom(2, 10));
    const memories = fc.tuple(fc.integer({ min: 50, max: 8000 }), fc.integer({ min: 1, max: 3000 }));
    fc.assert(
      fc.property(sizes, memories, fc.boolean(), fc.constantFrom(4096, 8192), (size, [most, length], long, num_ctx) => {
        const at = talked(...size);
        const by = profile({ memory: remembering(most) }, { num_ctx, num_predict: 300 });
        const text = long ? document : null;
        const { reserved, recallTokens } = planned(at, by, text);
        assert.ok(recallTokens <= most);
        const recalled = recalledUpTo(recallTokens, length);
        const added = recalled.length === 0 ? 0 : estimateTokens(recalledPart(recalled, '0123456789abcdef', []));
        const messages = rendered(at, by, text, recalled);
        const prompt = messages.reduce((sum, { content }) => sum + estimateTokens(content), 0);
        assert.ok(prompt + 300 <= num_ctx, `${prompt} tokens of ${num_ctx}`);
        assert.ok(prompt + 300 <= reserved + added + 1, `${prompt} + 300 tokens, ${reserved} + ${added} set aside`);
      }),
      { numRuns: 60, includeErrorInReport: true },
    );
  },
  { deadlineMs: 30_000 },
);

test('an agent recalls at most what it says and half of what is free, less after a prompt that was too long', () => {
  const at = talked(60, 400);
  const tokensOf = (maxTokens: number, scene = at) =>
    planned(scene, profile({ memory: remembering(maxTokens) }), document).recallTokens;
  assert.is(planned(at, profile(), document).recallTokens, 0);
  assert.is(tokensOf(600), 600);
  const most = tokensOf(8000);
  assert.ok(most > 600 && most < 1600, `${most}`);
  const shown = (memory?: AgentProfile['memory']) => {
    const { context, window } = planned(at, profile(memory && { memory }), document).basis;
    return [context.reduce((sum, [from, to]) => sum + to - from, 0), window?.from ?? 0] as const;
  };
  const [all, from] = shown();
  const [less, later] = shown(remembering(8000));
  assert.ok(
    less < 0.6 * all && later > from,
    `${less} of ${all} characters, messages from ${later} instead of ${from}`,
  );
  const held = at.when(claim(at));
  assert.is(tokensOf(8000, held.when(abandon(held, { halveWindow: true }))), Math.floor(most / 2));
});

test('a prompt that was too long shows half of the window and the document next time', () => {
  const at = talked(60, 400);
  const held = at.when(claim(at));
  const halved = held.when(abandon(held, { halveWindow: true }));
  const shown = (scene: Scene) => {
    const { context, window } = planned(scene, profile(), document).basis;
    return [context.reduce((sum, [from, to]) => sum + to - from, 0), window?.from ?? 0] as const;
  };
  const [all, from] = shown(at);
  const [half, later] = shown(halved);
  assert.ok(half > 0 && half < 0.6 * all, `${half} of ${all} characters`);
  assert.ok(later > from);
  assert.ok(planned(halved, profile(), document).reserved < planned(at, profile(), document).reserved);
});

test('agents with other instructions show the same document parts and window, so that the head is shared', () => {
  const at = talked(60, 200);
  const [short, long] = ['Be brief.', 'Be brief, kind and exact. '.repeat(20)].map((instructions) =>
    profile({ instructions }),
  );
  if (!short || !long) throw new Error('two agents');
  assert.equal(planned(at, long, document).basis, planned(at, short, document).basis);
  assert.equal(rendered(at, long, document).slice(0, -1), rendered(at, short, document).slice(0, -1));
});

test('between turns the prompt only grows at its end, while the window’s start stays', () => {
  let at = talked(3, 100);
  let before = rendered(at, profile(), document);
  for (let i = 0; i < 10; i += 1) {
    at = at.when(post('Eve', 'And another thing.'));
    const after = rendered(at, profile(), document);
    assert.equal(after.slice(0, before.length - 1), before.slice(0, -1));
    before = after;
  }
  assert.ok(spoken(at).existing().marks.length > 13);
});

test.run();
