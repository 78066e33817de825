// Official archives that are folders of classes, with or without splits, and those that say the class of a picture in a table or a file
// beside it. Where an archive has no splits, they are the usual preparation scripts' (VTAB's protocols) as far as those are fixed.
import path from 'node:path';
import { RandomStream, SlipError } from '@slip/core';
import { isImageName, listFolder } from '../../datasets/folder-tree.js';
import { type Listed, linesOf, type OfficialArchive } from './official-archive.js';

export const OFFICIAL_FOLDERS: Readonly<Record<string, OfficialArchive>> = {
  imagenet: {
    holds: 'ILSVRC/ and LOC_val_solution.csv of imagenet-object-localization-challenge.zip',
    async read(source) {
      const data = 'ILSVRC/Data/CLS-LOC';
      // ILSVRC2012_val_00048981,n03995372 85 1 499 272
      const validation = (await tableOf(source, 'LOC_val_solution.csv', ',', ['ImageId', 'PredictionString'])).map(
        ([image, boxes]) => ({ split: 'val', name: boxes.split(' ')[0], file: `${data}/val/${image}.JPEG` }),
      );
      return [...(await classFolders(source, `${data}/train`, () => 'train')), ...validation];
    },
  },
  country211: { holds: 'train/ and test/ of country211.tgz', read: trainAndTest },
  rendered_sst2: { holds: 'train/ and test/ of rendered-sst2.tgz', read: trainAndTest },
  gtsrb: {
    holds:
      'GTSRB/Training/ of GTSRB-Training_fixed.zip, GTSRB/Final_Test/Images/ of GTSRB_Final_Test_Images.zip, and ' +
      'GT-final_test.csv of GTSRB_Final_Test_GT.zip',
    async read(source) {
      const table = await tableOf(source, 'GT-final_test.csv', ';', ['Filename', 'ClassId']);
      const test = table.map(([file, name]) => ({ split: 'test', name, file: `GTSRB/Final_Test/Images/${file}` }));
      return [...(await classFolders(source, 'GTSRB/Training', () => 'train')), ...test];
    },
  },
  eurosat: {
    holds: '2750/ of EuroSAT.zip',
    read: (source) => classFolders(source, '2750', (i) => (i < 1000 ? 'train' : i < 1500 ? 'val' : undefined)),
  },
  caltech101: {
    holds: '101_ObjectCategories/ of 101_ObjectCategories.tar.gz, with BACKGROUND_Google',
    read: (source) =>
      classFolders(
        source,
        '101_ObjectCategories',
        drawn('caltech101', () => 30),
      ),
  },
  resisc45: {
    holds: 'NWPU-RESISC45/ of NWPU-RESISC45.rar',
    read: (source) => classFolders(source, 'NWPU-RESISC45', drawn('resisc45', fourFifths)),
  },
  kitti_distance: {
    holds: 'training/image_2/ of data_object_image_2.zip and training/label_2/ of data_object_label_2.zip',
    read: readKitti,
  },
};

function fourFifths(count: number): number {
  return Math.round(0.8 * count);
}

async function trainAndTest(source: string): Promise<Listed[]> {
  return [
    ...(await classFolders(source, 'train', () => 'train')),
    ...(await classFolders(source, 'test', () => 'test')),
  ];
}

/** The split of a picture by its place among those of its class, sorted by code point; undefined leaves it out. */
type SplitOf = (place: number, count: number, name: string) => string | undefined;

async function classFolders(source: string, below: string, splitOf: SplitOf): Promise<Listed[]> {
  const { folders } = await listFolder(path.join(source, below));
  const all: Listed[] = [];
  for (const name of folders) {
    const files = (await listFolder(path.join(source, below, name))).files.filter(isImageName);
    for (const [i, file] of files.entries()) {
      const split = splitOf(i, files.length, name);
      if (split !== undefined) all.push({ split, name, file: path.join(below, name, file) });
    }
  }
  return all;
}

/** Drawn without replacement, always the same for the same number of pictures; what is not for training is for the test. */
function drawn(set: string, training: (count: number) => number): SplitOf {
  const chosen = new Map<string, ReadonlySet<number>>();
  return (place, count, name) => {
    let own = chosen.get(name);
    if (own === undefined) {
      own = new Set(new RandomStream('split', set, name).permutation(count).subarray(0, training(count)));
      chosen.set(name, own);
    }
    return own.has(place) ? 'train' : 'test';
  };
}

const VEHICLES = new Set(['Car', 'Van', 'Truck']);

/** Four fifths for training, drawn; the class is the distance of the nearest vehicle in metres. */
async function readKitti(source: string): Promise<Listed[]> {
  const [images, labels] = ['training/image_2', 'training/label_2'];
  const files = (await listFolder(path.join(source, images))).files.filter(isImageName);
  const splitOf = drawn('kitti_distance', fourFifths);
  const all: Listed[] = [];
  for (const [i, file] of files.entries()) {
    const label = path.join(source, labels, `${path.parse(file).name}.txt`);
    const objects = (await linesOf(label)).map((line) => line.split(' ')).filter(([type]) => VEHICLES.has(type));
    const distances = objects.map((fields) => Number(fields[13] ?? 'missing'));
    const odd = distances.findIndex((distance) => !Number.isFinite(distance));
    if (odd !== -1)
      throw new SlipError('data', `${label}: field 14 of a vehicle is ${objects[odd][13]}; its distance is wanted`);
    const split = splitOf(i, files.length, '') === 'train' ? 'train' : 'val';
    all.push({ split, name: distanceClass(Math.min(...distances)), file: `${images}/${file}` });
  }
  return all;
}

/** @param nearest in metres, Infinity where there is none; what is behind the camera is not seen */
function distanceClass(nearest: number): string {
  if (nearest === Number.POSITIVE_INFINITY || nearest <= 0) return 'no_vehicle';
  return nearest <= 8 ? 'below_8' : nearest <= 20 ? 'below_20' : 'above_20';
}

/** The named columns of a table whose cells have no quotes. @throws SlipError `data` naming a column that is missing */
async function tableOf(
  source: string,
  file: string,
  separator: string,
  columns: readonly string[],
): Promise<string[][]> {
  const [head = '', ...lines] = await linesOf(path.join(source, file));
  const names = head.split(separator).map((name) => name.trim());
  const places = columns.map((name) => names.indexOf(name));
  const missing = columns.find((_, k) => places[k] === -1);
  if (missing !== undefined)
    throw new SlipError('data', `${path.join(source, file)} has no column ${missing}; it has ${names.join(', ')}`);
  return lines.map((line) => {
    const cells = line.split(separator);
    return places.map((place) => (cells[place] ?? '').trim());
  });
}
