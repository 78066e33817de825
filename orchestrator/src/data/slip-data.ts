// The command slip-data: prepares data sets. argv in, exit code out.
import { SlipError } from '@slip/core';
import cliProgress from 'cli-progress';
import yargs from 'yargs';
import type { EmojiSummary } from './make-emoji.js';

export async function slipData(argv: readonly string[]): Promise<number> {
  try {
    await yargs([...argv])
      .scriptName('slip-data')
      .usage('slip-data COMMAND\n\nPrepares data sets. Exit codes are in docs/errors.md.')
      .command(
        'make-emoji',
        'build an image-caption set from open emoji art, with an unseen art style for zero-shot classification',
        (command) =>
          command
            .option('output', { type: 'string', default: '.data/emoji', description: 'folder to make' })
            .option('size', { type: 'number', default: 64, description: 'side of the pictures in pixels' })
            .option('limit', { type: 'number', default: 0, description: 'only the first so many emoji; 0 is all' }),
        ({ output, size, limit }) => runMakeEmoji(output, size, limit),
      )
      .demandCommand(1, 'a command is needed, for example make-emoji')
      .strict()
      .exitProcess(false)
      .fail((message, error) => {
        throw error ?? new SlipError('config', `${message}; see slip-data --help`);
      })
      .parseAsync();
    return 0;
  } catch (thrown) {
    const error = SlipError.from(thrown);
    process.stderr.write(`slip-data: ${error.toString()}\n`);
    return error.exitCode;
  }
}

async function runMakeEmoji(output: string, size: number, limit: number): Promise<void> {
  if (!Number.isInteger(size) || size < 8 || size > 1024) {
    throw new SlipError('config', `--size ${size} is not a whole number from 8 to 1024`);
  }
  if (!Number.isInteger(limit) || limit < 0)
    throw new SlipError('config', `--limit ${limit} is not a whole number of at least 0`);
  const { makeEmoji } = await import('./make-emoji.js');
  const progress = openProgress('drawing');
  const { summary, existed } = await makeEmoji({ output, size, limit, progress: progress.update }).finally(
    progress.close,
  );
  const styles = Object.entries(summary.imagesPerStyle).map(([name, count]) => `${name} ${count}`);
  process.stdout.write(`${existed ? `${output} is there already` : `made ${output}`}\n${describe(summary, styles)}\n`);
}

function describe({ classes, heldOut, largestClass }: EmojiSummary, styles: readonly string[]): string {
  return (
    `  training   ${styles.join(', ')} pictures\n` +
    `  held out   fluent-emoji, ${heldOut} pictures in ${classes} classes ` +
    `(chance ${(100 / classes).toFixed(1)} %, largest class ${largestClass.toFixed(1)} %)`
  );
}

/** A bar on a terminal, a line every tenth otherwise. */
function openProgress(what: string) {
  const terminal = process.stderr.isTTY === true;
  const bar = new cliProgress.SingleBar(
    { format: `${what} [{bar}] {value}/{total} | {eta_formatted} left`, hideCursor: true, noTTYOutput: false },
    cliProgress.Presets.shades_classic,
  );
  let started = false;
  return {
    update(done: number, total: number): void {
      if (!terminal) {
        if (done % Math.ceil(total / 10) === 0) process.stderr.write(`${what} ${done}/${total}\n`);
        return;
      }
      if (!started) bar.start(total, 0);
      started = true;
      bar.update(done);
    },
    close(): void {
      if (started) bar.stop();
    },
  };
}
