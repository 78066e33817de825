// The commands of slip-data that make metadata or sets. The work is done in @slip/data/prepare.
import path from 'node:path';
import { SlipError } from '@slip/core';
import type { Argv } from 'yargs';
import type { EmojiSummary } from './make-emoji.js';
import { openProgress } from './progress.js';

const needed = (description: string) => ({ type: 'string', demandOption: true, description }) as const;

export function withYfcc(page: Argv): Argv {
  return page.command(
    'make-yfcc15m',
    "yfcc15m.pkl and yfcc100m.pkl from the published lists, as the original's make_dataset.py",
    (command) =>
      command
        .option('ids', needed('flickr_unique_ids.npy: line numbers of the downloaded images'))
        .option('subset', needed("yfcc100m_subset_data.tsv: OpenAI's list of captioned images"))
        .option('dataset-file', needed('yfcc100m_dataset.txt: titles and descriptions of all'))
        .option('output', { type: 'string', default: '.', description: 'folder for the two files' })
        .example(
          'slip-data make-yfcc15m --ids flickr_unique_ids.npy --subset yfcc100m_subset_data.tsv --dataset-file yfcc100m_dataset.txt',
          '',
        ),
    async ({ ids, subset, datasetFile, output }) => {
      const { makeYfcc15m } = await import('@slip/data/prepare');
      const progress = openProgress('reading');
      const options = { ids, subset, dataset: datasetFile, output, progress: progress.update };
      const { captioned, images } = await asData(makeYfcc15m(options), output).finally(progress.close);
      say(`made ${path.join(output, 'yfcc15m.pkl')}: ${thousands(captioned)} captioned images`);
      say(`made ${path.join(output, 'yfcc100m.pkl')}: ${thousands(images)} images in all`);
    },
  );
}

export function withCombine(page: Argv): Argv {
  return page.command(
    'combine-captions',
    "RedCaps' annotations of all subreddits as one file, as the original's combine_captions.py",
    (command) =>
      command.option('input', needed('folder of the annotation files')).option('output', needed('file to write')),
    async ({ input, output }) => {
      const { combineCaptions } = await import('@slip/data/prepare');
      const progress = openProgress('combining');
      const work = combineCaptions({ input, output, progress: progress.update });
      const { files, captions } = await asData(work, output).finally(progress.close);
      say(`made ${output}: ${thousands(captions)} captions of ${files} files`);
    },
  );
}

export function withConceptual(page: Argv, kind: 'cc3m' | 'cc12m'): Argv {
  const columns = kind === 'cc3m' ? 'caption and URL' : 'URL and caption';
  return page.command(
    `make-${kind}`,
    `${kind}.npy from the published table and a folder of downloaded images`,
    (command) =>
      command
        .option('tsv', needed(`the published table: ${columns}, tab separated`))
        .option('images', needed('folder of the images; --root in training'))
        .option('output', { type: 'string', default: `${kind}.npy`, description: 'file to write' })
        .epilogue(
          'Images are recognised by the .json files that img2dataset writes beside them, or by their names: row number from 0, ' +
            'CRC-32, MD5, SHA-1 or SHA-256 of the URL. Rows without an image are counted and passed over. ' +
            'Shards that img2dataset wrote need no metadata: train with --dataset webdataset.',
        ),
    async ({ tsv, images, output }) => {
      const { makeConceptual } = await import('@slip/data/prepare');
      const progress = openProgress('matching');
      const tell = (done: number, total: number, found: number) =>
        progress.update(done, total, `${thousands(found)} found`);
      const work = makeConceptual({ kind, tsv, images, output, progress: tell });
      const { rows, found, by } = await asData(work, output).finally(progress.close);
      const missing = `${thousands(rows - found)} of ${thousands(rows)} rows have no image and were passed over`;
      say(`made ${output}: ${thousands(found)} images; ${missing}`);
      for (const [naming, count] of Object.entries(by)) say(`  by ${naming}: ${thousands(count)}`);
    },
  );
}

export function withEmoji(page: Argv): Argv {
  return page.command(
    'make-emoji',
    'an image-caption set from open emoji art, with an unseen art style for zero-shot classification',
    (command) =>
      command
        .option('output', { type: 'string', default: '.data/emoji', description: 'folder to make' })
        .option('size', { type: 'number', default: 64, description: 'side of the pictures in pixels' })
        .option('limit', { type: 'number', default: 0, description: 'only the first so many emoji; 0 is all' }),
    ({ output, size, limit }) => runMakeEmoji(output, size, limit),
  );
}

async function runMakeEmoji(output: string, size: number, limit: number): Promise<void> {
  wantWhole('--size', size, 8, 1024);
  wantWhole('--limit', limit, 0, Number.MAX_SAFE_INTEGER);
  const { makeEmoji } = await import('./make-emoji.js');
  const progress = openProgress('drawing');
  const { summary, existed } = await makeEmoji({ output, size, limit, progress: progress.update }).finally(
    progress.close,
  );
  say(`${existed ? `${output} is there already` : `made ${output}`}\n${describe(summary)}`);
}

function describe({ imagesPerStyle, classes, heldOut, largestClass }: EmojiSummary): string {
  const styles = Object.entries(imagesPerStyle).map(([name, count]) => `${name} ${count}`);
  return (
    `  training   ${styles.join(', ')} pictures\n` +
    `  held out   fluent-emoji, ${heldOut} pictures in ${classes} classes ` +
    `(chance ${(100 / classes).toFixed(1)} %, largest class ${largestClass.toFixed(1)} %)`
  );
}

/** What the system says about writing becomes an error that names the output. */
export async function asData<T>(work: Promise<T>, output: string): Promise<T> {
  return work.catch((error: NodeJS.ErrnoException) => {
    if (error instanceof SlipError || error.syscall === undefined) throw error;
    throw new SlipError('data', `--output ${output}: ${error.message}`, { cause: error });
  });
}

export function wantWhole(flag: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  throw new SlipError('config', `${flag} ${value} is not a whole number ${range}`);
}

export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

export function thousands(value: number): string {
  return value.toLocaleString('en-US');
}
