// For tests: small trees in the layouts of the official archives, with pictures of every class in each split.
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export interface Official {
  /** @param folders of the classes, as the catalogue has them */
  make(source: string, folders: readonly string[]): void;
  /** Pictures of each class that the splits get, on average. */
  readonly train: number;
  readonly test: number;
  /** Thousands of pictures: for long tests. */
  readonly isLarge?: true;
}

const golden = path.resolve(import.meta.dirname, '../../../../test/golden/zeroshot/sets');
const png = path.join(golden, 'hateful_memes/dev/0/0.png');

export function put(...parts: string[]): void {
  const file = path.join(...parts);
  mkdirSync(path.dirname(file), { recursive: true });
  cpSync(png, file);
}

export function write(file: string, lines: readonly string[]): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `${lines.join('\n')}\n`);
}

const TREES: Readonly<Record<string, (source: string, folders: readonly string[]) => void>> = {
  food101(source, folders) {
    for (const name of folders) for (const i of [1, 2]) put(source, 'images', name, `${i}.jpg`);
    write(
      path.join(source, 'meta/train.txt'),
      folders.map((name) => `${name}/1`),
    );
    write(
      path.join(source, 'meta/test.txt'),
      folders.map((name) => `${name}/2`),
    );
  },
  dtd(source, folders) {
    for (const name of folders) for (const i of [1, 2, 3]) put(source, 'images', name, `${name}_${i}.jpg`);
    for (const [i, part] of ['train1', 'val1', 'test1'].entries())
      write(
        path.join(source, `labels/${part}.txt`),
        folders.map((name) => `${name}/${name}_${i + 1}.jpg`),
      );
  },
  aircraft(source, folders) {
    const official = folders.map((name) => name.replace('F-16A-B', 'F-16A/B').replace('F-A-18', 'F/A-18'));
    for (const [i, part] of ['trainval', 'test'].entries()) {
      for (const k of folders.keys()) put(source, 'data/images', `${i}${k}.jpg`);
      write(
        path.join(source, `data/images_variant_${part}.txt`),
        official.map((name, k) => `${i}${k} ${name}`),
      );
    }
  },
  pets(source, folders) {
    for (const [i, part] of ['trainval', 'test'].entries()) {
      for (const name of folders) put(source, 'images', `${name}_${i}.jpg`);
      write(
        path.join(source, `annotations/${part}.txt`),
        folders.map((name) => `${name}_${i} 1 1 1`),
      );
    }
  },
  cub200(source, folders) {
    const files = folders.flatMap((name) => [1, 2].map((i) => `${name}/${i}.jpg`));
    for (const file of files) put(source, 'images', file);
    write(
      path.join(source, 'images.txt'),
      files.map((file, i) => `${i + 1} ${file}`),
    );
    write(
      path.join(source, 'train_test_split.txt'),
      files.map((_, i) => `${i + 1} ${i % 2}`),
    );
  },
  hateful_memes(source) {
    for (const id of ['a', 'b', 'c', 'd']) put(source, 'img', `${id}.png`);
    write(path.join(source, 'train.jsonl'), ['{"id":1,"img":"img/a.png","label":0}', '{"img":"img/b.png","label":1}']);
    write(path.join(source, 'dev.jsonl'), [
      '{"img":"img/c.png","label":1,"text":"x"}',
      '{"img":"img/d.png","label":0}',
    ]);
  },
  country211: trainAndTest,
  rendered_sst2: trainAndTest,
  gtsrb(source, folders) {
    folders.forEach((name, k) => {
      put(source, 'GTSRB/Training', name, '00000_00000.ppm');
      write(path.join(source, 'GTSRB/Training', name, `GT-${name}.csv`), ['Filename;Width']);
      put(source, 'GTSRB/Final_Test/Images', `${String(k).padStart(5, '0')}.ppm`);
    });
    const row = (file: number, label: number) => `${String(file).padStart(5, '0')}.ppm;53;54;6;5;48;49;${label}`;
    write(path.join(source, 'GT-final_test.csv'), [
      'Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId',
      ...folders.map((_, k) => row(k, folders.length - 1 - k)),
    ]);
  },
  resisc45(source, folders) {
    for (const name of folders) for (let i = 1; i <= 5; i++) put(source, 'NWPU-RESISC45', name, `${name}_00${i}.jpg`);
  },
  kitti_distance(source) {
    const objects = [
      ['Pedestrian', 3],
      ['Car', 8, 'Van', 30],
      ['Truck', 25, 'Car', 8.01, 'DontCare', -1000],
      ['Van', 20.5, 'Cyclist', 5],
    ];
    for (let i = 0; i < 40; i++) {
      const number = String(i).padStart(6, '0');
      put(source, 'training/image_2', `${number}.png`);
      const lines: string[] = [];
      const own = objects[i % 4];
      for (let k = 0; k < own.length; k += 2)
        lines.push(`${own[k]} 0.00 0 -0.20 712.40 143.00 810.73 307.92 1.89 0.48 1.20 1.84 1.47 ${own[k + 1]} 0.01`);
      write(path.join(source, 'training/label_2', `${number}.txt`), lines);
    }
  },
  fer2013(source, folders) {
    const row = (usage: string) =>
      folders.map(
        (_, k) =>
          `${k},${Array(48 * 48)
            .fill(10 * k)
            .join(' ')},${usage}`,
      );
    write(path.join(source, 'fer2013.csv'), ['emotion,pixels,Usage', ...row('Training'), ...row('PublicTest')]);
  },
  imagenet(source, folders) {
    folders.forEach((name, k) => {
      put(source, 'ILSVRC/Data/CLS-LOC/train', name, `${name}_1.JPEG`);
      put(source, 'ILSVRC/Data/CLS-LOC/val', `ILSVRC2012_val_${k}.JPEG`);
    });
    const rows = folders.map((name, k) => `ILSVRC2012_val_${k},${name} 85 1 499 272 ${name} 1 2 3 4 `);
    write(path.join(source, 'LOC_val_solution.csv'), ['ImageId,PredictionString', ...rows.reverse()]);
  },
  eurosat(source, folders) {
    for (const name of folders) for (let i = 1; i <= 1501; i++) put(source, '2750', name, `${name}_${i}.jpg`);
  },
  caltech101(source, folders) {
    for (const name of folders)
      for (let i = 1; i <= 32; i++)
        put(source, '101_ObjectCategories', name, `image_${String(i).padStart(4, '0')}.jpg`);
    write(path.join(source, '101_ObjectCategories/BACKGROUND_Google/tmp'), ['no picture']);
  },
};

function trainAndTest(source: string, folders: readonly string[]): void {
  for (const split of ['train', 'valid', 'test']) for (const name of folders) put(source, split, name, '1.png');
}

type Rest = Omit<Official, 'make'>;
/** One picture of each class in each split, but for these. */
const REST: Readonly<Record<string, Rest>> = {
  dtd: { train: 2, test: 1 },
  resisc45: { train: 4, test: 1 },
  kitti_distance: { train: 8, test: 2 },
  imagenet: { train: 1, test: 1, isLarge: true },
  eurosat: { train: 1000, test: 500, isLarge: true },
  caltech101: { train: 30, test: 2, isLarge: true },
};

export const OFFICIAL: Readonly<Record<string, Official>> = Object.fromEntries(
  Object.entries(TREES).map(([name, make]) => [name, { make, ...(REST[name] ?? { train: 1, test: 1 }) }]),
);
