// The two sets that the catalogue has as lists of numpy: SUN397 by its partition files, CLEVR by the number of objects in its scenes.
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { SlipError, writeAtomically } from '@slip/core';
import { encodeNpyHeader } from '../../datasets/npy-header.js';
import { classList } from '../../downstream/class-list.js';
import { linesOf } from './official-archive.js';

export interface ListedSplit {
  readonly split: string;
  /** Absolute. */
  readonly images: readonly string[];
  readonly labels: readonly (string | number)[];
}

/** What has to be in the folder that is read, for help and messages. */
export const LIST_SOURCES: Readonly<Record<string, string>> = {
  sun397: 'SUN397/ of SUN397.tar.gz with ClassName.txt, and Training_01.txt, Testing_01.txt of Partitions.zip',
  clevr_counts: 'images/ and scenes/ of CLEVR_v1.0.zip',
};

/** @throws SlipError `data` naming the file that is missing or not understood */
export async function readListSource(set: string, source: string): Promise<ListedSplit[]> {
  try {
    return set === 'sun397' ? await readSun(source) : await readClevr(source);
  } catch (error) {
    if (error instanceof SlipError) throw error;
    throw new SlipError(
      'data',
      `--source ${source}: ${(error as Error).message}; it has to hold ${LIST_SOURCES[set]}`,
      {
        cause: error,
      },
    );
  }
}

/** `<target>/<split>_images.npy` and `<split>_labels.npy`. */
export async function writeLists(splits: readonly ListedSplit[], target: string): Promise<void> {
  await mkdir(target, { recursive: true });
  for (const { split, images, labels } of splits) {
    await writeTexts(path.join(target, `${split}_images.npy`), images);
    const file = path.join(target, `${split}_labels.npy`);
    if (labels.every((label) => typeof label === 'string')) await writeTexts(file, labels);
    else await writeIntegers(file, labels.map(Number));
  }
}

async function readSun(source: string): Promise<ListedSplit[]> {
  const root = path.join(source, 'SUN397');
  const classes = await linesOf(path.join(root, 'ClassName.txt'));
  const known = classList('sun397')!;
  const strange = classes.findIndex((name, i) => sunFolder(name) !== known[i]?.folder);
  if (strange !== -1 || classes.length !== known.length) {
    throw new SlipError(
      'data',
      `${path.join(root, 'ClassName.txt')}: class ${Math.max(0, strange)} is ${classes[Math.max(0, strange)]}, ` +
        `${known[Math.max(0, strange)].folder} is expected, of ${known.length}`,
    );
  }
  const labelOf = new Map(classes.map((name, label) => [name, label]));
  const split = async (name: string, file: string): Promise<ListedSplit> => {
    const lines = await linesOf(path.join(source, file));
    const labels = lines.map((line) => labelOf.get(path.posix.dirname(line)) ?? -1);
    const odd = labels.indexOf(-1);
    if (odd !== -1)
      throw new SlipError('data', `${path.join(source, file)}: line ${odd + 1}, ${lines[odd]}, is of no class`);
    return { split: name, images: lines.map((line) => path.resolve(root, `.${line}`)), labels };
  };
  return [await split('train', 'Training_01.txt'), await split('test', 'Testing_01.txt')];
}

/** `/b/basketball_court/outdoor` as a name. */
function sunFolder(name: string): string {
  return name.split('/').slice(2).join('_');
}

async function readClevr(source: string): Promise<ListedSplit[]> {
  const classes = new Set(classList('clevr_counts')!.map(({ folder }) => folder));
  const splits: ListedSplit[] = [];
  for (const split of ['train', 'val']) {
    const file = path.join(source, `scenes/CLEVR_${split}_scenes.json`);
    const { scenes } = JSON.parse(await readFile(file, 'utf8')) as {
      scenes: { image_filename: string; objects: unknown[] }[];
    };
    const labels = scenes.map(({ objects }) => `count_${objects.length}`);
    const odd = labels.findIndex((label) => !classes.has(label));
    if (odd !== -1)
      throw new SlipError('data', `${file}: scene ${odd} has ${scenes[odd].objects.length} objects, not 3 to 10`);
    const images = scenes.map(({ image_filename: name }) => path.resolve(source, 'images', split, name));
    splits.push({ split, images, labels });
  }
  return splits;
}

/** As numpy stores texts: UTF-32, all as long as the longest. */
async function writeTexts(file: string, texts: readonly string[]): Promise<void> {
  const points = texts.map((text) => Array.from(text, (character) => character.codePointAt(0)!));
  const width = points.reduce((most, own) => Math.max(most, own.length), 1);
  await writeAtomically(file, async (out) => {
    await out.write(encodeNpyHeader(`<U${width}`, [texts.length]));
    for (const own of points) {
      const row = Buffer.alloc(4 * width);
      own.forEach((point, i) => {
        row.writeUInt32LE(point, 4 * i);
      });
      await out.write(row);
    }
  });
}

async function writeIntegers(file: string, values: readonly number[]): Promise<void> {
  await writeAtomically(file, async (out) => {
    await out.write(encodeNpyHeader('<i8', [values.length]));
    await out.write(new Uint8Array(BigInt64Array.from(values, BigInt).buffer));
  });
}
