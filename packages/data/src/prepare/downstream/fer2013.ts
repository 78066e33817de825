// FER2013 is a table with the pixels of its pictures: they become files.
import { createReadStream } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { SlipError } from '@slip/core';
import sharp from 'sharp';
import { classOfFolder } from '../../downstream/check-classes.js';
import { classList } from '../../downstream/class-list.js';
import { buildFolder } from './classified-pictures.js';

/** What has to be in the folder, for help and messages. */
export const FER_HOLDS = 'fer2013.csv of fer2013.tar.gz, or icml_face_data.csv of the newer archive';

const TABLES = ['fer2013.csv', 'icml_face_data.csv'];
const SPLITS: Readonly<Record<string, string>> = { Training: 'train', PublicTest: 'test', PrivateTest: 'test' };
const SIDE = 48;

/**
 * Pictures as PNG, named by their row.
 * @returns how many
 * @throws SlipError `data` naming the file and line that is not understood
 */
export async function writeFer(
  source: string,
  target: string,
  progress: (done: number, total: number) => void,
): Promise<number> {
  const file = await tableIn(source);
  const { size } = await stat(file);
  const classes = classList('fer2013')!;
  const classOf = classOfFolder(classes);
  let [count, bytes, columns] = [0, 0, [] as number[]];
  await buildFolder(target, async (building) => {
    for (const split of new Set(Object.values(SPLITS)))
      for (const { folder } of classes) await mkdir(path.join(building, split, folder), { recursive: true });
    for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
      bytes += line.length + 1;
      const cells = line.split(',').map((cell) => cell.trim());
      if (columns.length === 0) {
        columns = ['emotion', 'pixels', 'Usage'].map((name) => cells.indexOf(name));
        if (columns.includes(-1)) throw new SlipError('data', `${file} has no columns emotion, pixels and Usage`);
        continue;
      }
      if (line.trim() === '') continue;
      const [emotion, pixels, usage] = columns.map((place) => cells[place] ?? '');
      const [label, split] = [classOf(emotion), SPLITS[usage]];
      const values = pixels.split(' ').map(Number);
      const isPicture = values.length === SIDE * SIDE && values.every((value) => value >= 0 && value <= 255);
      if (label === undefined || split === undefined || !isPicture) {
        const found = `emotion ${emotion}, ${values.length} pixels, Usage ${usage}`;
        throw new SlipError(
          'data',
          `${file}: line ${count + 2} is not understood: ${found}; 0 to 6, ${SIDE} x ${SIDE} bytes and a split are wanted`,
        );
      }
      await sharp(Uint8Array.from(values), { raw: { width: SIDE, height: SIDE, channels: 1 } })
        .png()
        .toFile(path.join(building, split, classes[label].folder, `${String(count).padStart(5, '0')}.png`));
      count += 1;
      progress(Math.min(bytes, size), size);
    }
  });
  return count;
}

async function tableIn(source: string): Promise<string> {
  for (const name of TABLES) {
    const file = path.join(source, name);
    if ((await stat(file).catch(() => undefined))?.isFile() === true) return file;
  }
  throw new SlipError('data', `--source ${source}: it has to hold ${FER_HOLDS}`);
}
