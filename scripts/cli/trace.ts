import type { Command } from 'commander';
import { printRows, type Printing } from './print.ts';
import { withService, type ReachOptions } from './reach.ts';

interface Step {
  readonly relation: string;
  readonly occurredAt: string;
  readonly actor: { readonly kind: string; readonly id: string };
  readonly requestId: string | null;
  readonly commandId: string;
  readonly stream: string;
  readonly events: readonly { readonly type: string; readonly revision: number; readonly attempt: number | null }[];
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** `colloquy events trace <id>`; to be added after whatever else makes the command `events`. */
export function addTrace(program: Command): void {
  const events =
    program.commands.find((each) => each.name() === 'events') ?? program.command('events').description('the log');
  events
    .command('trace <id>')
    .description('who, when and why: the chain around an event, command, request or correlation')
    .option('--stream <name>', "the event's stream, where the log does not find events by their id alone")
    .option('--limit <n>', 'commands shown, 2 to 1000', '100')
    .option('--json', 'as JSON')
    .option('--data <folder>', 'data folder (COLLOQUY_DATA)')
    .action((id: string, options: ReachOptions & Printing & { stream?: string; limit: string }) =>
      withService(options, async ({ remote }) => {
        const query = new URLSearchParams({ limit: options.limit });
        if (options.stream !== undefined) query.set('stream', options.stream);
        if (!UUID.test(id)) query.set('id', id);
        const path = UUID.test(id) ? `/events/${id}/trace` : '/traces';
        const { data, omitted } = await remote.call<{ data: Step[]; omitted: number }>(
          'GET',
          `${path}?${query.toString()}`,
        );
        if (options.json === true) printRows(data, [], options);
        else printRows(data.map(line), ['at', 'relation', 'who', 'request', 'wrote', 'stream'], options);
        if (omitted > 0) console.error(`${omitted} commands of the chain are left out: --limit`);
      }),
    );
}

function line({ occurredAt, relation, actor, requestId, events, stream }: Step) {
  const wrote = events.map(
    ({ type, revision, attempt }) => `${type}${attempt === null ? '' : `#${attempt}`}@${revision}`,
  );
  return {
    at: occurredAt,
    relation,
    who: `${actor.kind}:${actor.id}`,
    request: requestId,
    wrote: wrote.join(' '),
    stream,
  };
}
