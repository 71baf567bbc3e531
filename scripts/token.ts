import { readSettings } from '../infra/config.ts';
import { loadTokens } from '../infra/tokens.ts';

export interface TokenCommand {
  readonly user: string;
  readonly role: string;
  readonly project: string;
  readonly minutes: number;
}

/**
 * Prints an access token signed with the installation's key, good at every API that has the same key. Whoever can read
 * that key may do so: there are no accounts yet.
 */
export async function printToken({ user, role, project, minutes }: TokenCommand): Promise<void> {
  const settings = readSettings();
  const { COLLOQUY_DATA: dataDir, JWT_ISSUER: issuer, JWT_AUDIENCE: audience, JWT_SIGNING_KEY_FILE: file } = settings;
  const tokens = await loadTokens({
    dataDir,
    issuer,
    audience,
    ...(file === undefined ? {} : { signingKeyFile: file }),
  });
  process.stdout.write(`${tokens.mint({ kind: 'user', id: user, grants: [{ project, role }] }, minutes * 60_000)}\n`);
}
