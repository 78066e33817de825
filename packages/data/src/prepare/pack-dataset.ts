// Any set as WebDataset shards, pictures made smaller on the way if wanted. Each shard appears when it is complete, and what
// is there already from the same settings is kept, so that an interrupted packing goes on.
import { mkdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { SlipError, writeAtomically, writeFileAtomic } from '@slip/core';
import sharp from 'sharp';
import { tarEnd, tarMember } from '../archives/tar-writer.js';
import {
  type CaptionedDataset,
  type DatasetLocation,
  openDataset,
  type Sample,
} from '../datasets/captioned-dataset.js';
import { unreadable } from '../images/image-source.js';

export interface PackOptions {
  readonly location: DatasetLocation;
  /** Folder for the shards. */
  readonly output: string;
  readonly samplesPerShard: number;
  /** Short side in pixels that larger pictures are brought to; undefined leaves every byte as it is. */
  readonly resize?: number | undefined;
  /** Of JPEGs that are written, 1 to 100. */
  readonly quality: number;
  /** An unreadable picture is left out and counted, instead of being an error. */
  readonly skipBad: boolean;
  readonly concurrency: number;
  readonly progress: (done: number, total: number) => void;
}

export interface PackSummary {
  readonly shards: number;
  /** Of them, those that were there already. */
  readonly kept: number;
  readonly samples: number;
  readonly skipped: number;
}

interface ShardNote {
  readonly samples: number;
  readonly skipped: number;
}

const NOTE = 'packed.json';

/** @throws SlipError `data` for an unreadable picture unless it may be left out, or a folder of other content */
export async function packDataset(options: PackOptions): Promise<PackSummary> {
  const { location, output, samplesPerShard, resize, quality } = options;
  const dataset = await openDataset(location);
  try {
    const { dataset: name, root, metadata } = location;
    const settings = { name, root, metadata, samples: dataset.length, samplesPerShard, resize: resize ?? 0, quality };
    const notes = await openNotes(output, settings);
    const shards = Math.ceil(dataset.length / samplesPerShard);
    let kept = 0;
    for (let shard = 0; shard < shards; shard++) {
      const file = path.join(output, `${String(shard).padStart(5, '0')}.tar`);
      if (notes[shard] !== undefined && (await exists(file))) kept += 1;
      else {
        notes[shard] = await packShard(dataset, shard, file, options);
        await writeFileAtomic(path.join(output, NOTE), JSON.stringify({ settings, shards: notes }));
      }
      options.progress(Math.min(dataset.length, (shard + 1) * samplesPerShard), dataset.length);
    }
    const sum = (key: keyof ShardNote) => notes.reduce((total, note) => total + note[key], 0);
    return { shards, kept, samples: sum('samples'), skipped: sum('skipped') };
  } finally {
    dataset.close();
  }
}

async function packShard(
  dataset: CaptionedDataset,
  shard: number,
  file: string,
  options: PackOptions,
): Promise<ShardNote> {
  const { samplesPerShard, concurrency } = options;
  const begin = shard * samplesPerShard;
  const end = Math.min(dataset.length, begin + samplesPerShard);
  const note = { samples: 0, skipped: 0 };
  await writeAtomically(file, async (out) => {
    for (let at = begin; at < end; at += concurrency) {
      const numbers = Array.from({ length: Math.min(concurrency, end - at) }, (_, i) => at + i);
      for (const members of await Promise.all(numbers.map((number) => packSample(dataset, number, options)))) {
        if (members.length === 0) note.skipped += 1;
        else note.samples += 1;
        for (const member of members) await out.write(member);
      }
    }
    await out.write(tarEnd());
  });
  return note;
}

/** Members of the shard; none for a picture that is left out. */
async function packSample(dataset: CaptionedDataset, number: number, options: PackOptions): Promise<Buffer[]> {
  const sample = dataset.describe(number);
  try {
    const { bytes, extension } = await pictureOf(sample, options);
    const key = String(number).padStart(9, '0');
    const { captions } = sample;
    const text =
      captions.length === 1
        ? tarMember(`${key}.txt`, Buffer.from(captions[0]))
        : tarMember(`${key}.json`, Buffer.from(JSON.stringify({ captions })));
    return [tarMember(`${key}.${extension}`, bytes), text];
  } catch (error) {
    if (error instanceof SlipError && error.code === 'data' && options.skipBad) return [];
    if (error instanceof SlipError && error.code === 'data') {
      throw new SlipError('data', `${error.message} (sample ${number}); repair it, or pass --skip-bad`, {
        cause: error,
      });
    }
    throw error;
  }
}

async function pictureOf({ image }: Sample, { resize, quality }: PackOptions) {
  const bytes = await image.bytes();
  try {
    const picture = sharp(bytes, { failOn: 'none' });
    const { width = 0, height = 0, format } = await picture.metadata();
    const isReady = format === 'jpeg' || format === 'png' || format === 'webp';
    if (isReady && (resize === undefined || Math.min(width, height) <= resize)) {
      return { bytes, extension: format === 'jpeg' ? 'jpg' : format };
    }
    const side = Math.min(resize ?? Number.POSITIVE_INFINITY, width, height);
    const smaller = picture.resize(width < height ? { width: side } : { height: side });
    return { bytes: await smaller.jpeg({ quality }).toBuffer(), extension: 'jpg' };
  } catch (error) {
    throw unreadable(image.name, (error as Error).message.split('\n')[0], error);
  }
}

/** Made if need be. @throws SlipError `data` when it holds shards of other settings */
async function openNotes(output: string, settings: unknown): Promise<ShardNote[]> {
  try {
    await mkdir(output, { recursive: true });
  } catch (error) {
    throw new SlipError('data', `--output ${output} cannot be made: ${(error as Error).message}`, { cause: error });
  }
  const file = path.join(output, NOTE);
  if (!(await exists(file))) return [];
  const found = JSON.parse(await readFile(file, 'utf8')) as { settings?: unknown; shards?: ShardNote[] };
  if (JSON.stringify(found.settings) === JSON.stringify(settings)) return found.shards ?? [];
  throw new SlipError(
    'data',
    `--output ${output} holds shards of other settings (${JSON.stringify(found.settings).slice(0, 300)}); choose another folder`,
  );
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}
