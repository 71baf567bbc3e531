import type { AgentProfile } from '../domain/agent/events.ts';
import type { ExistingDiscussion, OpenTurn } from '../domain/discussion/state.ts';
import { ModelFailure, type ModelDescription, type Usage } from '../domain/model.ts';
import type { LanguageModel } from '../domain/ports.ts';
import type { Chain } from '../domain/discussion/chain.ts';
import type { PromptRecord } from '../domain/discussion/events.ts';
import { promptMaterial } from '../domain/prompt/material.ts';
import { planPrompt } from '../domain/prompt/plan.ts';
import { renderPrompt, type RenderedPrompt } from '../domain/prompt/render.ts';
import type { AgentProfiles } from './agentProfiles.ts';
import { chooseModel } from './chooseModel.ts';
import type { Circuits } from './circuit.ts';
import { NOTHING_RECALLED, recall, type Patience } from './recall.ts';
import type { Transcripts } from './transcripts.ts';
import type { WorkerContext } from './worker.ts';

/** An attempt that is ready to be claimed. */
export interface Prepared {
  readonly record: PromptRecord;
  readonly rendered: RenderedPrompt;
  readonly reserved: number;
  readonly model: LanguageModel | null;
  /** With the model that this attempt asks. */
  readonly profile: AgentProfile;
  /** Which model of the agent's chain that is. */
  readonly chain?: Chain;
  /** Why the model cannot even be asked: the attempt is claimed all the same, so that its failure is on record. */
  readonly failure: ModelFailure | null;
}

/** Broken up in participants' texts when the model could not be asked for its own. */
const USUAL_CONTROL_TOKENS = ['<|im_start|>', '<|im_end|>', '<|endoftext|>', '[INST]', '[/INST]', '<s>', '</s>'];

/** The model was not asked. */
const NOTHING_USED: Usage = { inputTokens: 0, outputTokens: 0, source: 'reported' };

/** Time to describe a model: it is asked before every claim, and answered from memory nearly always. */
const DESCRIBE_MS = 10_000;

/** Every provider of the agent's models is left alone at the moment. */
export interface Blocked {
  readonly kind: 'snooze';
  readonly afterMs: number;
}

/**
 * Plans and renders the next attempt of the open turn from the state at one revision.
 * @param patience what is left of the time to recall something.
 */
export async function prepareAttempt(
  ctx: Pick<WorkerContext, 'engine' | 'models' | 'recall' | 'telemetry' | 'log'>,
  from: { transcripts: Transcripts; profiles: AgentProfiles; circuits: Circuits },
  discussionId: string,
  state: ExistingDiscussion,
  turn: OpenTurn,
  patience: Patience,
): Promise<Prepared | Blocked> {
  const speaker = state.participants.find((each) => each.participantId === turn.participantId);
  if (speaker?.agentId === undefined || speaker.agentVersion === undefined)
    throw new RangeError(`turn ${turn.turnId} is not an agent's`);
  const version = speaker.agentVersion;
  const registered = await from.profiles(speaker.agentId, version);
  const choice = chooseModel(registered, turn, from.circuits);
  if (typeof choice === 'number') return { kind: 'snooze', afterMs: choice };
  const profile = { ...registered, model: choice.model };
  const model = ctx.models.get(profile.model.provider) ?? null;
  const { description, failure: silent } = await describe(ctx, profile, model);
  const contextText = await from.transcripts.contextText(discussionId, state);
  const plan = planPrompt(state, { profile, version }, description, contextText);
  const failure = silent ?? (plan.fits ? null : tooNarrow());
  const transcript = await from.transcripts.window(discussionId, state, plan.basis.window);
  const { instructions, memory } = profile;
  const wanted = { discussionId, state, turn, plan, contextText, transcript };
  // An attempt that fails at once need not remember anything.
  const { recorded, recalled, tokens } =
    memory === undefined || failure !== null ? NOTHING_RECALLED : await recall(ctx, { ...wanted, memory }, patience);
  const basis = { ...plan.basis, ...recorded };
  const material = promptMaterial(state, turn, { contextText, transcript, recalled, instructions });
  const rendered = renderPrompt(material, basis);
  const record = { ...basis, sha256: rendered.sha256 };
  const chosen = choice.chain === undefined ? {} : { chain: choice.chain };
  return { record, rendered, reserved: plan.reserved + tokens, model, profile, ...chosen, failure };
}

function tooNarrow(): ModelFailure {
  const detail = "topic and instructions do not fit into the model's context: shorten them or raise num_ctx";
  return new ModelFailure('error', detail, { retryable: false, usage: NOTHING_USED });
}

async function describe(
  ctx: Pick<WorkerContext, 'engine'>,
  profile: AgentProfile,
  model: LanguageModel | null,
): Promise<{ description: ModelDescription; failure: ModelFailure | null }> {
  const { provider, name, parameters } = profile.model;
  const contextTokens = parameters?.num_ctx ?? 4096;
  const guess = {
    provider,
    name,
    digest: null,
    contextTokens,
    defaultContextTokens: contextTokens,
    controlTokens: USUAL_CONTROL_TOKENS,
  };
  if (model === null) {
    const failure = new ModelFailure('error', `no provider ${provider} is set up here: see the settings`, {
      retryable: false,
      usage: NOTHING_USED,
    });
    return { description: guess, failure };
  }
  const answered = new AbortController();
  try {
    void ctx.engine.clock.sleep(DESCRIBE_MS, answered.signal).then(() => {
      if (!answered.signal.aborted) answered.abort();
    });
    return { description: await model.describe(name, { signal: answered.signal }), failure: null };
  } catch (error) {
    const known =
      error instanceof ModelFailure
        ? error
        : new ModelFailure('error', 'the model could not be described', { cause: error });
    return {
      description: guess,
      failure: new ModelFailure(known.reason, known.message, {
        retryable: known.retryable,
        usage: NOTHING_USED,
        cause: error,
        ...(known.retryAfterMs === undefined ? {} : { retryAfterMs: known.retryAfterMs }),
      }),
    };
  } finally {
    // With a reason of its own: else an error with its stack is made for every turn.
    answered.abort('answered');
  }
}
