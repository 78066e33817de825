// The command slip-data: prepares data sets and looks at them. argv in, exit code out.
import { SlipError } from '@slip/core';
import yargs, { type Argv } from 'yargs';
import { withPrepare } from './downstream-commands.js';
import { withCombine, withConceptual, withEmoji, withYfcc } from './make-commands.js';
import { withIndex, withPack, withSample, withStats, withVerify } from './set-commands.js';

const USAGE = `slip-data COMMAND

Prepares data sets and looks at them. What each set consists of is in docs/data.md and docs/downstream-sets.md, exit codes are in docs/errors.md.
No file is left half written, and no pickle is ever executed.`;

export async function slipData(argv: readonly string[]): Promise<number> {
  try {
    await commands(yargs([...argv])).parseAsync();
    return 0;
  } catch (thrown) {
    const error = SlipError.from(thrown);
    process.stderr.write(`slip-data: ${error.toString()}\n`);
    if (error.code === 'internal' && error.cause instanceof Error) process.stderr.write(`${error.cause.stack}\n`);
    return error.exitCode;
  }
}

function commands(page: Argv): Argv {
  const added = [
    withYfcc,
    withCombine,
    (command: Argv) => withConceptual(command, 'cc3m'),
    (command: Argv) => withConceptual(command, 'cc12m'),
    withEmoji,
    withPrepare,
    withIndex,
    withVerify,
    withPack,
    withStats,
    withSample,
  ].reduce((command, add) => add(command), page.scriptName('slip-data').usage(USAGE));
  return added
    .demandCommand(1, 'a command is needed, for example verify')
    .strict()
    .wrap(110)
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? new SlipError('config', `${message}; see slip-data --help`);
    });
}
