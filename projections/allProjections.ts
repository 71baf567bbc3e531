import { embeddings } from './embeddings.ts';
import type { Projection } from './projection.ts';
import { readModels } from './readModels.ts';

/** Every read model there is: those that run by themselves, and the one that workers of their own keep. */
export const allProjections: readonly Projection[] = [...readModels, embeddings];
