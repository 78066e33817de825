// How the official archives of sets say which picture belongs to which split and class: read from their own lists into folders of the
// catalogue. Each is given the folder that its archive was unpacked into.
import path from 'node:path';
import { SlipError } from '@slip/core';
import { classOfFolder } from '../../downstream/check-classes.js';
import { classList } from '../../downstream/class-list.js';
import type { ClassifiedPicture } from './classified-pictures.js';
import { fromFiles, type Listed, linesOf, type OfficialArchive } from './official-archive.js';
import { OFFICIAL_FOLDERS } from './official-folders.js';

const SPLITS = { train: ['train', 'val'], test: ['test'] } as const;

const OFFICIAL_LISTS: Readonly<Record<string, OfficialArchive>> = {
  food101: {
    holds: 'images/ and meta/train.txt, meta/test.txt of food-101.tar.gz',
    read: (source) =>
      fromFiles(source, { train: ['meta/train.txt'], test: ['meta/test.txt'] }, (line) => ({
        name: line.split('/')[0],
        file: `images/${line}.jpg`,
      })),
  },
  dtd: {
    holds: 'images/ and labels/ of dtd-r1.0.1.tar.gz; its first split, training and validation together',
    read: (source) =>
      fromFiles(
        source,
        { train: SPLITS.train.map((part) => `labels/${part}1.txt`), test: ['labels/test1.txt'] },
        (line) => ({
          name: line.split('/')[0],
          file: `images/${line}`,
        }),
      ),
  },
  aircraft: {
    holds: 'data/images/ and data/images_variant_*.txt of fgvc-aircraft-2013b.tar.gz',
    read: (source) =>
      fromFiles(
        source,
        { train: ['data/images_variant_trainval.txt'], test: ['data/images_variant_test.txt'] },
        (line) => ({ name: line.slice(line.indexOf(' ') + 1), file: `data/images/${line.split(' ')[0]}.jpg` }),
      ),
  },
  pets: {
    holds: 'images/ and annotations/ of images.tar.gz and annotations.tar.gz',
    read: (source) =>
      fromFiles(source, { train: ['annotations/trainval.txt'], test: ['annotations/test.txt'] }, (line) => {
        const [picture] = line.split(' ');
        return { name: picture.replace(/_\d+$/, ''), file: `images/${picture}.jpg` };
      }),
  },
  cub200: { holds: 'images/, images.txt and train_test_split.txt of CUB_200_2011.tgz', read: readCub },
  hateful_memes: {
    holds: 'img/, train.jsonl and dev.jsonl of hateful_memes.zip',
    read: (source) =>
      fromFiles(source, { train: ['train.jsonl'], dev: ['dev.jsonl'] }, (line) => {
        const { img, label } = JSON.parse(line) as { img?: unknown; label?: unknown };
        return { name: String(label), file: String(img) };
      }),
  },
};

/** All archives whose pictures are files. */
export const OFFICIAL_ARCHIVES: Readonly<Record<string, OfficialArchive>> = { ...OFFICIAL_LISTS, ...OFFICIAL_FOLDERS };

/**
 * @param source folder of the unpacked archive
 * @throws SlipError `data` naming the list and line that cannot be understood
 */
export async function classifiedPictures(set: string, source: string): Promise<ClassifiedPicture[]> {
  const archive = OFFICIAL_ARCHIVES[set];
  const classes = classList(set)!;
  const classOf = classOfFolder(classes);
  const listed = await archive.read(source).catch((error: NodeJS.ErrnoException) => {
    if (error instanceof SlipError || error.syscall === undefined) throw error;
    throw new SlipError('data', `--source ${source}: ${error.message}; it has to hold ${archive.holds}`, {
      cause: error,
    });
  });
  const found = new Set<number>();
  const pictures = listed.map(({ split, name, file }) => {
    const label = classOf(name);
    if (label === undefined)
      throw new SlipError(
        'data',
        `--source ${source}: ${file} is of the class ${JSON.stringify(name)}, which ${set} does not have`,
      );
    found.add(label);
    return { split, folder: classes[label].folder, source: path.resolve(source, file) };
  });
  if (found.size < classes.length)
    throw new SlipError(
      'data',
      `--source ${source}: it has pictures of ${found.size} of the ${classes.length} classes of ${set}`,
    );
  return pictures;
}

/** Pictures are numbered in one file, the numbers assigned to splits in another. */
async function readCub(source: string): Promise<Listed[]> {
  const training = new Map(
    (await linesOf(path.join(source, 'train_test_split.txt'))).map((line) => [line.split(' ')[0], line.split(' ')[1]]),
  );
  return (await linesOf(path.join(source, 'images.txt'))).map((line) => {
    const [number, file] = line.split(' ');
    return { split: training.get(number) === '1' ? 'train' : 'val', name: file.split('/')[0], file: `images/${file}` };
  });
}
