import { agents } from './agents.ts';
import { commands } from './commands.ts';
import { discussions } from './discussions.ts';
import { messages } from './messages.ts';
import { passages } from './passages.ts';
import type { Projection } from './projection.ts';
import { turns } from './turns.ts';
import { usage } from './usage.ts';

/** Every read model that runs by itself. */
export const readModels: readonly Projection[] = [agents, discussions, messages, turns, usage, commands, passages];
