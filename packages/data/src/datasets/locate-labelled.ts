// Where the training and validation pictures of a labelled set are: from a folder, or from the original's dataset_catalog.json.
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { SlipError } from '@slip/core';
import type { LabelledLocation } from './labelled-dataset.js';

export interface LabelledSet {
  readonly train: LabelledLocation;
  readonly validation: LabelledLocation;
}

export interface LabelledPlace {
  /** Name in the catalogue, or any name for a folder. */
  readonly dataset: string;
  /** Folder with `train` and `val` or `test`; wins over the catalogue. */
  readonly dataPath: string;
  /** Folder of the validation pictures, where they are not in `dataPath`, which then holds those for training. */
  readonly evalDataPath?: string;
  /** dataset_catalog.json; folders in it are relative to it. */
  readonly catalog: string;
}

/** @throws SlipError `data` naming the folder, or the catalogue and its entry */
export async function locateLabelled(place: LabelledPlace): Promise<LabelledSet> {
  const { dataset, dataPath, evalDataPath = '' } = place;
  const at = (root: string): LabelledLocation => ({ kind: 'image-folder', dataset, root });
  if (dataPath === '') return fromCatalog(place, at);
  if (evalDataPath !== '') return { train: at(path.resolve(dataPath)), validation: at(path.resolve(evalDataPath)) };
  const [train, val, test] = ['train', 'val', 'test'].map((split) => path.resolve(dataPath, split));
  const found = (await isFolder(val)) ? val : test;
  if (!(await isFolder(train)) || !(await isFolder(found))) {
    throw new SlipError('data', `--data-path ${dataPath} has to have a folder train and one of val and test in it`);
  }
  return { train: at(train), validation: at(found) };
}

async function fromCatalog({ dataset, catalog }: LabelledPlace, at: (root: string) => LabelledLocation) {
  const entries = await readCatalog(catalog);
  const entry = entries[dataset];
  if (entry === undefined) {
    const known = Object.keys(entries).slice(0, 8).join(', ') || 'none';
    throw new SlipError('data', `${catalog} has no entry ${dataset}; it has ${known} (--dataset)`);
  }
  const { path: folder, type, train, test } = entry;
  if (type !== 'imagefolder') {
    throw new SlipError(
      'data',
      `${dataset} in ${catalog} has type ${JSON.stringify(type)}; only imagefolder can be trained on`,
    );
  }
  if (typeof folder !== 'string' || typeof train !== 'string' || typeof test !== 'string') {
    throw new SlipError(
      'data',
      `${dataset} in ${catalog} needs "path", "train" and "test", found ${JSON.stringify(entry)}`,
    );
  }
  const base = path.resolve(path.dirname(catalog), folder);
  return { train: at(path.join(base, train)), validation: at(path.join(base, test)) };
}

type Entry = Readonly<Record<string, unknown>>;

async function readCatalog(file: string): Promise<Readonly<Record<string, Entry>>> {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw new SlipError('data', `--catalog: cannot read ${file}: ${(error as Error).message}`, { cause: error });
  }
}

async function isFolder(folder: string): Promise<boolean> {
  return (await stat(folder).catch(() => undefined))?.isDirectory() === true;
}
