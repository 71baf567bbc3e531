import { showSettings } from '../infra/config.ts';

/** Prints every setting with its value and origin; secrets are left out. */
export function configPrint(options: { json?: boolean }): void {
  const settings = showSettings();
  if (options.json === true) return void process.stdout.write(`${JSON.stringify(settings)}\n`);
  const width = Math.max(...settings.map(({ name }) => name.length));
  for (const { name, value, origin, about } of settings)
    process.stdout.write(`${name.padEnd(width)}  ${value === '' ? '-' : value}  (${origin}; ${about})\n`);
}
