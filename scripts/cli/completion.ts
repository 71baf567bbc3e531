/** `colloquy completion bash|zsh|fish`: what a shell offers after <Tab>, made from the commands themselves. */
import { Argument, type Command } from 'commander';

const shells = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof shells)[number];

/** Adds the command; it reads the others when it is called. */
export function addCompletion(program: Command): void {
  program
    .command('completion')
    .description('print a completion script: eval "$(colloquy completion bash)"')
    .addArgument(new Argument('<shell>', 'which shell').choices(shells))
    .action((shell: Shell) => void process.stdout.write(completionOf(program, shell)));
}

/** What may follow a line of commands. */
interface Place {
  /** The commands before, joined by spaces; empty for none. */
  readonly path: string;
  readonly words: readonly { readonly word: string; readonly about: string }[];
}

/** A script for the shell. Ids and files are left to the shell's own completion. */
export function completionOf(program: Command, shell: Shell): string {
  const places = placesOf(program, '');
  if (shell === 'fish') return fishScript(places);
  return shell === 'bash' ? bashScript(places) : `autoload -U +X bashcompinit && bashcompinit\n${bashScript(places)}`;
}

function placesOf(command: Command, path: string): Place[] {
  const commands = command.commands.map((each) => ({ word: each.name(), about: each.description() }));
  const options = command.options.flatMap(({ long, description }) =>
    long === undefined || long === null ? [] : [{ word: long, about: description }],
  );
  const words = [...commands, ...options, { word: '--help', about: 'display help' }];
  const below = command.commands.flatMap((each) =>
    placesOf(each, path === '' ? each.name() : `${path} ${each.name()}`),
  );
  return [{ path, words }, ...below];
}

function bashScript(places: readonly Place[]): string {
  const cases = places.map(({ path, words }) => `    '${path}') words='${words.map(({ word }) => word).join(' ')}' ;;`);
  return `_colloquy() {
  local word path='' known words='' i
  known='|${places.map(({ path }) => path).join('|')}|'
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    [[ "$word" == -* ]] && continue
    [[ "$known" == *"|\${path:+$path }$word|"* ]] && path="\${path:+$path }$word"
  done
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _colloquy colloquy
`;
}

function fishScript(places: readonly Place[]): string {
  const lines = places.flatMap(({ path, words }) => {
    const names = words.flatMap(({ word }) => (word.startsWith('--') ? [] : [word]));
    const seen = path.split(' ').filter((each) => each !== '');
    const inside = seen.map((each) => `__fish_seen_subcommand_from ${each}`);
    const outside = names.length === 0 ? [] : [`not __fish_seen_subcommand_from ${names.join(' ')}`];
    const when = [...inside, ...outside].join('; and ') || 'true';
    return words.map(({ word, about }) => {
      const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-a ${word}`;
      return `complete -c colloquy -f -n '${when}' ${what} -d '${about.replaceAll("'", '’')}'`;
    });
  });
  return `${lines.join('\n')}\n`;
}
