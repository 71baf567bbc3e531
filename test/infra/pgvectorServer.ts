import { postgresForTests } from '../services.ts';

/** Whether the server of the tests has pgvector; says what is left out when it has not, as Debian 12's. */
export async function serverWithPgvector(what: string): Promise<boolean> {
  const server = await postgresForTests();
  const { description } = server;
  await server.stop();
  const without = description.includes('no pgvector');
  if (without) console.log(`left out: ${what}: ${description}`);
  return !without;
}
