// `slip-data make-emoji`: draws the emoji of three art styles in COCO's layout and a fourth, held-out one as an image folder; the
// first three are there as folders of classes too, for linear probing and fine-tuning.
import { mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { SlipError } from '@slip/core';
import sharp from 'sharp';
import { type ArtStyle, type Emoji, HELD_OUT_STYLE, listEmoji, openStyle, TRAINING_STYLES } from './emoji-catalog.js';
import { captionsOf, classTexts, TEMPLATES } from './emoji-texts.js';

export interface MakeEmojiOptions {
  readonly output: string;
  /** Side of the pictures, pixels. */
  readonly size: number;
  /** Only the first so many emoji; 0 is all. */
  readonly limit: number;
  /** Called with pictures done and in all. */
  readonly progress: (done: number, total: number) => void;
}

export interface EmojiSummary {
  readonly imagesPerStyle: Readonly<Record<string, number>>;
  readonly classes: number;
  readonly heldOut: number;
  /** Percent of the held-out pictures in the largest class. */
  readonly largestClass: number;
}

interface Picture {
  readonly svg: string;
  readonly file: string;
}

/** A training picture under the name of its class. */
interface LabelledPicture {
  readonly subgroup: string;
  readonly file: string;
  readonly link: string;
}

const MARKER = 'made.json';
/** Raised when the pictures or texts of the same settings change, so that an older folder is made anew. */
const VERSION = 4;

/** @returns what was made, and whether it was there already. @throws SlipError `data` when the folder cannot be written */
export async function makeEmoji(options: MakeEmojiOptions): Promise<{ summary: EmojiSummary; existed: boolean }> {
  const output = path.resolve(options.output);
  const settings = { version: VERSION, size: options.size, limit: options.limit };
  const made = await readMarker(output);
  if (made !== undefined && JSON.stringify(made.settings) === JSON.stringify(settings))
    return { summary: made.summary, existed: true };
  await refuseStranger(output, made !== undefined);
  const building = `${output}.building-${process.pid}`;
  try {
    await removeLeftOvers(output);
    const summary = await build(building, options);
    await writeFile(path.join(building, MARKER), `${JSON.stringify({ settings, summary }, null, 1)}\n`);
    await rm(output, { recursive: true, force: true });
    await rename(building, output);
    return { summary, existed: false };
  } catch (error) {
    // Its own failure, say under a path that is no folder, must not hide the first.
    await rm(building, { recursive: true, force: true }).catch(() => {});
    if (error instanceof SlipError) throw error;
    throw new SlipError('data', `--output ${options.output} cannot be written: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

async function build(folder: string, { size, limit, progress }: MakeEmojiOptions): Promise<EmojiSummary> {
  const all = listEmoji();
  const emoji = limit > 0 ? all.slice(0, limit) : all;
  const styles = TRAINING_STYLES.map(openStyle);
  const heldOut = openStyle(HELD_OUT_STYLE);
  const training = trainingSet(emoji, styles);
  const test = heldOutSet(emoji, heldOut);
  await mkdir(path.join(folder, 'coco/train2017'), { recursive: true });
  await mkdir(path.join(folder, 'coco/annotations'), { recursive: true });
  const classes = [...new Set(test.map(({ subgroup }) => subgroup))].sort();
  for (const name of classes) await mkdir(path.join(folder, 'heldout/val', name), { recursive: true });

  const pictures: Picture[] = [...training.pictures, ...test];
  await drawAll(folder, pictures, size, progress);
  await linkClasses(
    folder,
    training.labelled.filter(({ subgroup }) => classes.includes(subgroup)),
  );
  const json = (file: string, content: unknown) =>
    writeFile(path.join(folder, file), `${JSON.stringify(content, null, 1)}\n`);
  await json('coco/annotations/captions_train2017.json', training.annotations);
  await json('catalog.json', { emoji: { path: '.', type: 'imagefolder', train: 'classes', test: 'heldout/val' } });
  await json('labels.json', { emoji: classes.map(classTexts) });
  await json('templates.json', { emoji: TEMPLATES });
  await writeFile(path.join(folder, 'LICENSES.md'), licences([...styles, heldOut]));
  const largest = Math.max(...classes.map((name) => test.filter(({ subgroup }) => subgroup === name).length));
  return {
    imagesPerStyle: training.counts,
    classes: classes.length,
    heldOut: test.length,
    largestClass: (100 * largest) / test.length,
  };
}

/** Picture ids count through the styles, emoji by emoji. */
function trainingSet(emoji: readonly Emoji[], styles: readonly ArtStyle[]) {
  const pictures: Picture[] = [];
  const images: unknown[] = [];
  const annotations: unknown[] = [];
  const labelled: LabelledPicture[] = [];
  const counts: Record<string, number> = Object.fromEntries(styles.map(({ name }) => [name, 0]));
  for (const one of emoji) {
    for (const [licence, style] of styles.entries()) {
      const svg = style.svg(one);
      if (svg === undefined) continue;
      const id = pictures.length + 1;
      const name = `${String(id).padStart(12, '0')}.jpg`;
      pictures.push({ svg, file: `coco/train2017/${name}` });
      labelled.push({ subgroup: one.subgroup, file: name, link: `${style.name}-${fileName(one)}` });
      images.push({ id, file_name: name, license: licence + 1 });
      for (const caption of captionsOf(one)) annotations.push({ id: annotations.length + 1, image_id: id, caption });
      counts[style.name] += 1;
    }
  }
  const licenses = styles.map(({ title, licence, licenceUrl }, i) => ({
    id: i + 1,
    name: `${title}: ${licence}`,
    url: licenceUrl,
  }));
  const info = { description: 'Emoji of several art styles with their names and tags as captions' };
  return { pictures, labelled, counts, annotations: { info, licenses, images, annotations } };
}

function heldOutSet(emoji: readonly Emoji[], style: ArtStyle): (Picture & { subgroup: string })[] {
  return emoji.flatMap((one) => {
    const svg = style.svg(one);
    if (svg === undefined) return [];
    const { subgroup } = one;
    return [{ svg, subgroup, file: `heldout/val/${subgroup}/${fileName(one)}` }];
  });
}

function fileName({ hexcode, label }: Emoji): string {
  return `${hexcode.toLowerCase()}-${label.replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '')}.jpg`;
}

/** `classes/<class>/<style>-<emoji>.jpg`, as links to the pictures with captions. */
async function linkClasses(folder: string, pictures: readonly LabelledPicture[]): Promise<void> {
  for (const name of new Set(pictures.map(({ subgroup }) => subgroup)))
    await mkdir(path.join(folder, 'classes', name), { recursive: true });
  for (const { subgroup, file, link } of pictures)
    await symlink(path.join('../../coco/train2017', file), path.join(folder, 'classes', subgroup, link));
}

async function drawAll(
  folder: string,
  pictures: readonly Picture[],
  size: number,
  progress: MakeEmojiOptions['progress'],
): Promise<void> {
  sharp.concurrency(1);
  let next = 0;
  let done = 0;
  const draw = async (): Promise<void> => {
    while (next < pictures.length) {
      const { svg, file } = pictures[next++];
      await sharp(Buffer.from(svg), { density: densityFor(svg, size) })
        .resize(size, size, { fit: 'contain', background: '#ffffff' })
        .flatten({ background: '#ffffff' })
        .jpeg({ quality: 90, chromaSubsampling: '4:4:4' })
        .toFile(path.join(folder, file));
      progress(++done, pictures.length);
    }
  };
  await Promise.all(Array.from({ length: os.availableParallelism() }, draw));
}

/** Vectors are drawn near their final size, not drawn small and blown up. */
function densityFor(svg: string, size: number): number {
  const width = Number(/ width="([\d.]+)"/.exec(svg)?.[1] ?? size);
  return Math.max(1, Math.min(2400, (72 * size) / width));
}

function licences(styles: readonly ArtStyle[]): string {
  const lines = styles.map(
    ({ title, author, licence, licenceUrl }) => `- ${title} by ${author}: ${licence}, ${licenceUrl}`,
  );
  return `# Licences of the pictures\n\n${lines.join('\n')}\n\nNames and tags: emojibase-data, MIT.\n`;
}

/** What an earlier call wrote, or undefined where there is none or it cannot be read as such. */
async function readMarker(output: string): Promise<{ settings: unknown; summary: EmojiSummary } | undefined> {
  try {
    return JSON.parse(await readFile(path.join(output, MARKER), 'utf8'));
  } catch {
    return undefined;
  }
}

/** A file, or a folder that we did not make, is not replaced. */
async function refuseStranger(output: string, ours: boolean): Promise<void> {
  const found = await stat(output).catch(() => undefined);
  if (found !== undefined && !found.isDirectory())
    throw new SlipError('data', `--output ${output} is a file, not a folder; choose another path`);
  const entries = await readdir(output).catch(() => []);
  if (!ours && entries.length > 0) {
    throw new SlipError(
      'data',
      `--output ${output} holds other files (${entries.slice(0, 3).join(', ')}); choose another folder`,
    );
  }
}

async function removeLeftOvers(output: string): Promise<void> {
  const parent = path.dirname(output);
  await mkdir(parent, { recursive: true });
  for (const name of await readdir(parent)) {
    if (name.startsWith(`${path.basename(output)}.building-`))
      await rm(path.join(parent, name), { recursive: true, force: true });
  }
}
