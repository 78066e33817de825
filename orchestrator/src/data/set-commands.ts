// The commands of slip-data that read a set of any kind. The work is done in @slip/data/prepare.
import os from 'node:os';
import path from 'node:path';
import { PRETRAIN_FLAGS } from '@slip/config/flags';
import { SlipError } from '@slip/core';
import { DATASET_FORMATS, type DatasetLocation, openDataset } from '@slip/data';
import type { DatasetStats } from '@slip/data/prepare';
import type { Argv } from 'yargs';
import { USUAL_JOBS, verifySet } from './downstream-commands.js';
import { asData, say, thousands, wantWhole } from './make-commands.js';
import { openProgress } from './progress.js';

/** Flags of pre-training that say where a set is. */
const LOCATION_FLAGS = ['dataset', 'root', 'metadata', 'index-dir', 'csv-img-key', 'csv-caption-key'];

function withLocation<T>(command: Argv<T>, isNeeded = true): Argv<T> {
  const options = Object.fromEntries(
    PRETRAIN_FLAGS.filter(({ name }) => LOCATION_FLAGS.includes(name)).map(({ name, description, choices }) => [
      name,
      {
        type: 'string' as const,
        description,
        ...(choices === undefined ? {} : { choices }),
        ...(name === 'dataset' && isNeeded ? { demandOption: true } : { default: name === 'dataset' ? undefined : '' }),
      },
    ]),
  );
  return command.options(options).epilogue(formatsHelp()) as unknown as Argv<T>;
}

/** What --root and --metadata are for each set. */
function formatsHelp(): string {
  const lines = DATASET_FORMATS.map(({ name, root, metadata = 'none', metadataIsOptional }) => {
    const optional = metadataIsOptional === true ? ' (optional)' : '';
    return `  ${name.padEnd(13)} --root: ${root}; --metadata: ${metadata}${optional}`;
  });
  return ['Sets:', ...lines].join('\n');
}

function locationOf(flags: Record<string, unknown>): DatasetLocation {
  const text = (name: string) => String(flags[name] ?? '');
  return {
    dataset: text('dataset'),
    root: text('root'),
    metadata: text('metadata'),
    indexDir: text('index-dir'),
    csvImgKey: text('csv-img-key'),
    csvCaptionKey: text('csv-caption-key'),
  };
}

/** The first time a set is opened takes longest. */
async function prepare(location: DatasetLocation): Promise<number> {
  const progress = openProgress('indexing');
  try {
    const dataset = await openDataset(location, (records, part) => {
      progress.update(Math.round(1000 * part), 1000, `${thousands(records)} records`);
    });
    dataset.close();
    return dataset.length;
  } finally {
    progress.close();
  }
}

export function withIndex(page: Argv): Argv {
  return page.command(
    'index',
    "make a set's index now, for YFCC the directories of its zip archives too",
    (command) => withLocation(command),
    async (flags) => {
      const location = locationOf(flags);
      const startedAt = performance.now();
      const length = await prepare(location);
      say(`${location.dataset}: ${thousands(length)} samples, ${seconds(startedAt)}`);
      if (location.dataset !== 'yfcc15m') return;
      const { buildZipIndex, yfccArchives } = await import('@slip/data/prepare');
      const archives = yfccArchives();
      const progress = openProgress('archives');
      const tell = (done: number) => progress.update(done, archives.length);
      const folder = path.join(location.root, 'images');
      const found = await buildZipIndex(folder, archives, location.indexDir, tell).finally(progress.close);
      say(
        `archives: ${thousands(found.archives)} with ${thousands(found.images)} images, ${thousands(found.missing)} missing`,
      );
      for (const message of found.damaged.slice(0, 10)) say(`  ${message}`);
      if (found.damaged.length > 0) throw new SlipError('data', `${found.damaged.length} archives cannot be read`);
    },
  );
}

export function withVerify(page: Argv): Argv {
  return page.command(
    'verify [set]',
    'read and decode every image of a set to train on, going on where an interrupted call was; or of a set to evaluate on',
    (command) =>
      withLocation(command, false)
        .positional('set', { type: 'string', description: 'a set that slip-data prepare makes, instead of --dataset' })
        .option('report', { type: 'string', default: 'verify.jsonl', description: 'file for the images that are bad' })
        .option('jobs', { type: 'number', default: USUAL_JOBS, description: 'images at a time' })
        .option('restart', { type: 'boolean', default: false, description: 'do not continue an earlier report' }),
    async (flags) => {
      if (flags.set !== undefined) return verifySet(flags.set, { root: String(flags.root), jobs: flags.jobs });
      if (flags.dataset === undefined)
        throw new SlipError(
          'config',
          'verify needs the name of a set to evaluate on, or --dataset for one to train on',
        );
      wantWhole('--jobs', flags.jobs, 1, 1024);
      const location = locationOf(flags);
      await prepare(location);
      const { verifyDataset } = await import('@slip/data/prepare');
      const progress = openProgress('verifying');
      const { samples, bad, resumedAt } = await verifyDataset({
        location,
        report: flags.report,
        concurrency: flags.jobs,
        restart: flags.restart,
        progress: (done, total, wrong) => progress.update(done, total, `${thousands(wrong)} bad`),
      }).finally(progress.close);
      if (resumedAt > 0) say(`continued behind sample ${thousands(resumedAt)}`);
      say(`${thousands(samples - bad)} of ${thousands(samples)} images can be read`);
      if (bad > 0) throw new SlipError('data', `${thousands(bad)} images cannot be read; ${flags.report} lists them`);
    },
  );
}

export function withPack(page: Argv): Argv {
  return page.command(
    'pack',
    'any set as WebDataset shards, with smaller pictures if wanted; goes on where an interrupted call was',
    (command) =>
      withLocation(command)
        .option('output', { type: 'string', demandOption: true, description: 'folder for the shards' })
        .option('samples-per-shard', { type: 'number', default: 10_000, description: 'samples in a shard' })
        .option('resize', { type: 'number', description: 'bring the short side of larger pictures to so many pixels' })
        .option('quality', { type: 'number', default: 95, description: 'of JPEGs that are written' })
        .option('skip-bad', { type: 'boolean', default: false, description: 'leave out what cannot be read' })
        .option('jobs', { type: 'number', default: 4 * os.availableParallelism(), description: 'images at a time' }),
    async (flags) => {
      wantWhole('--samples-per-shard', flags.samplesPerShard, 1, 1_000_000);
      wantWhole('--quality', flags.quality, 1, 100);
      wantWhole('--jobs', flags.jobs, 1, 1024);
      if (flags.resize !== undefined) wantWhole('--resize', flags.resize, 16, 8192);
      const location = locationOf(flags);
      await prepare(location);
      const { packDataset } = await import('@slip/data/prepare');
      const progress = openProgress('packing');
      const work = packDataset({
        location,
        output: flags.output,
        samplesPerShard: flags.samplesPerShard,
        resize: flags.resize,
        quality: flags.quality,
        skipBad: flags.skipBad,
        concurrency: flags.jobs,
        progress: progress.update,
      });
      const { shards, kept, samples, skipped } = await asData(work, flags.output).finally(progress.close);
      const before = kept > 0 ? `, ${kept} of them from before` : '';
      say(
        `made ${flags.output}: ${thousands(samples)} samples in ${shards} shards${before}; ${thousands(skipped)} left out`,
      );
    },
  );
}

export function withStats(page: Argv): Argv {
  return page.command(
    'stats',
    'a set in numbers: captions of all samples, tokens and pictures of some',
    (command) =>
      withLocation(command)
        .option('pictures', { type: 'number', default: 1000, description: 'samples whose pictures are looked at' })
        .option('seed', { type: 'number', default: 0, description: 'of their choice' })
        .option('json', { type: 'boolean', default: false, description: 'answer as JSON' }),
    async (flags) => {
      wantWhole('--pictures', flags.pictures, 0, 10_000_000);
      const location = locationOf(flags);
      await prepare(location);
      const { datasetStats } = await import('@slip/data/prepare');
      const progress = openProgress('reading');
      const { pictures, seed } = flags;
      const options = { location, pictures, seed, contextLength: 77, progress: progress.update };
      const stats = await datasetStats(options).finally(progress.close);
      say(flags.json ? JSON.stringify(stats, null, 1) : describeStats(stats));
    },
  );
}

export function withSample(page: Argv): Argv {
  return page.command(
    'sample',
    'a picture of some samples as the trainer sees them: augmented views and captions',
    (command) =>
      withLocation(command)
        .option('output', { type: 'string', default: 'samples.png', description: '.png, .jpg or .webp file' })
        .option('samples', { type: 'number', default: 8, description: 'rows' })
        .option('epoch', { type: 'number', default: 0, description: 'epoch whose augmentation is shown' })
        .option('seed', { type: 'number', default: 0, description: 'of the choice and of the augmentation' })
        .option('image-size', { type: 'number', default: 224, description: 'pixels' }),
    async ({ output, samples, epoch, seed, imageSize, ...flags }) => {
      wantWhole('--samples', samples, 1, 200);
      wantWhole('--epoch', epoch, 0, 1_000_000);
      wantWhole('--image-size', imageSize, 8, 1024);
      const location = locationOf(flags);
      await prepare(location);
      const { writeContactSheet } = await import('@slip/data/prepare');
      const shown = await writeContactSheet({ location, output, samples, epoch, seed, imageSize });
      say(`made ${output}: samples ${shown.join(', ')}; columns: image, aug1, aug2, caption`);
    },
  );
}

function describeStats(stats: DatasetStats): string {
  const spread = ({ mean, median, p95, max }: DatasetStats['tokens']) =>
    `mean ${mean.toFixed(1)}, median ${median}, 95 % below ${p95}, most ${max}`;
  const formats = Object.entries(stats.formats).map(([name, count]) => `${name} ${count}`);
  return [
    `samples          ${thousands(stats.samples)}`,
    `captions         ${thousands(stats.captions)}, ${thousands(stats.emptyCaptions)} of them empty`,
    `characters       ${spread(stats.captionLength)}`,
    `of ${stats.looked} samples:`,
    `  tokens         ${spread(stats.tokens)}; ${(100 * stats.tooLong).toFixed(2)} % are longer than 77`,
    `  short side     ${spread(stats.shortSide)}`,
    `  file bytes     ${spread(stats.fileBytes)}`,
    `  formats        ${formats.join(', ') || 'none'}; ${stats.unreadable} unreadable`,
  ].join('\n');
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}
