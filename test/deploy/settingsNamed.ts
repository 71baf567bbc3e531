/** Whether what a file puts into the environment of our containers means something to them. */
import { settingsSchema } from '../../infra/config.ts';

/** Read by Node, not by us. */
const NOT_SETTINGS = ['NODE_ENV', 'NODE_OPTIONS', 'TZ'];

/** What is wrong with a variable, as a sentence, or null. `value` is undefined where it is known only in the container. */
export function settingProblem(name: string, value: string | undefined): string | null {
  const shape: Readonly<Record<string, { safeParse(value: unknown): { success: boolean } }>> = settingsSchema.shape;
  const setting = shape[name];
  if (NOT_SETTINGS.includes(name)) return null;
  if (!setting && !shape[name.replace(/_FILE$/, '')]) return `${name} is no setting`;
  // An empty value counts as unset.
  if (setting === undefined || value === undefined || value === '' || setting.safeParse(value).success) return null;
  return `${name} cannot be "${value}"`;
}
