// Help pages, laid out by yargs. Loaded only when asked for.

import type { FlagDefinition } from '@slip/config/flags';
import yargs from 'yargs';

export interface FlagGroup {
  readonly title: string;
  readonly flags: readonly FlagDefinition[];
}

export interface HelpPage {
  readonly program: string;
  readonly usage: string;
  /** Command and what it does. */
  readonly examples: readonly (readonly [string, string])[];
  readonly epilogue: string;
  readonly groups: readonly FlagGroup[];
}

export async function renderHelp(help: HelpPage, columns: number): Promise<string> {
  let page = yargs([])
    .scriptName(help.program)
    .usage(help.usage)
    .help(false)
    .version(false)
    .wrap(columns)
    .epilogue(help.epilogue);
  for (const [command, what] of help.examples) page = page.example(command, what);
  for (const { title, flags } of help.groups)
    for (const flag of flags) {
      if (flag.hidden === true) continue;
      page = page.option(flag.name, {
        group: `${flag.group ?? title}:`,
        type: flag.type === 'array' ? 'array' : flag.type,
        description: flag.description,
        ...(flag.alias === undefined ? {} : { alias: [...flag.alias] }),
        ...(flag.default === undefined ? {} : { default: flag.default }),
      });
    }
  return page.getHelp();
}
