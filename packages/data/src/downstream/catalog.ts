// Where labelled sets are: a folder with train and val, a folder of prepared sets, or the original's dataset_catalog.json.
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { SlipError } from '@slip/core';
import type { LabelledLocation } from '../datasets/labelled-dataset.js';
import { DOWNSTREAM_SETS, downstreamSet, type LabelledForm } from './sets.js';

/** Flags of the same names. */
export interface CatalogPlace {
  /** dataset_catalog.json; folders in it are relative to it. */
  readonly catalog: string;
  /** Folder with a folder for each set, as `slip-data prepare` makes them; where there is no catalogue. */
  readonly root?: string;
  readonly indexDir?: string;
}

export interface LabelledSet {
  readonly train: LabelledLocation;
  readonly validation: LabelledLocation;
}

export interface LabelledPlace extends CatalogPlace {
  /** Name in the catalogue, or any name for a folder. */
  readonly dataset: string;
  /** Folder with `train` and `val` or `test`; wins over the catalogue. */
  readonly dataPath: string;
  /** Folder of the validation pictures, where they are not in `dataPath`, which then holds those for training. */
  readonly evalDataPath?: string;
}

/** @throws SlipError `data` naming the folder, or the catalogue and its entry */
export async function locateLabelled(place: LabelledPlace): Promise<LabelledSet> {
  const { dataset, dataPath, evalDataPath = '', indexDir = '' } = place;
  if (dataPath === '') return setOf(place, dataset, await readCatalog(place));
  const at = (root: string): LabelledLocation => ({ kind: 'image-folder', dataset, root, indexDir });
  if (evalDataPath !== '') return { train: at(path.resolve(dataPath)), validation: at(path.resolve(evalDataPath)) };
  const [train, val, test] = ['train', 'val', 'test'].map((split) => path.resolve(dataPath, split));
  const found = (await isFolder(val)) ? val : test;
  if (!(await isFolder(train)) || !(await isFolder(found))) {
    throw new SlipError('data', `--data-path ${dataPath} has to have a folder train and one of val and test in it`);
  }
  return { train: at(train), validation: at(found) };
}

/** Names in the order of evaluation. @throws SlipError `data` when the catalogue cannot be read */
export async function catalogNames(place: CatalogPlace): Promise<string[]> {
  return Object.keys(await readCatalog(place));
}

/** @throws SlipError `data` naming the catalogue and its entry */
export async function locateInCatalog(place: CatalogPlace, name: string): Promise<LabelledSet> {
  return setOf(place, name, await readCatalog(place));
}

/** Whether anything is where the catalogue says. @throws SlipError `data` naming the catalogue and its entry */
export async function isLabelledSetThere(place: CatalogPlace, name: string): Promise<boolean> {
  return isFolder((await locateInCatalog(place, name)).validation.root);
}

interface Entry {
  readonly path?: unknown;
  readonly type?: unknown;
  readonly train?: unknown;
  readonly test?: unknown;
}

function setOf({ catalog, indexDir = '' }: CatalogPlace, name: string, entries: Readonly<Record<string, Entry>>) {
  const where = catalog === '' ? 'the catalogue' : catalog;
  const entry = entries[name];
  if (entry === undefined) {
    const known = Object.keys(entries).join(', ') || 'none';
    throw new SlipError('data', `${where} has no set ${name}; it has ${known}`);
  }
  const form = formOf(name, entry, where);
  const isBinary = form !== 'image-folder' && form !== 'file-list';
  const { path: folder, train = isBinary ? 'train' : undefined, test = isBinary ? 'test' : undefined } = entry;
  if (typeof folder !== 'string' || typeof train !== 'string' || typeof test !== 'string') {
    const wanted = isBinary ? '"path"' : '"path", "train" and "test"';
    throw new SlipError('data', `${name} in ${where} needs ${wanted}, found ${JSON.stringify(entry)}`);
  }
  const base = path.resolve(path.dirname(catalog), folder);
  const at = (split: string): LabelledLocation =>
    form === 'image-folder'
      ? { kind: form, dataset: name, root: path.join(base, split), indexDir }
      : { kind: form, dataset: name, root: base, split, indexDir };
  return { train: at(train), validation: at(test) };
}

function formOf(name: string, { type }: Entry, where: string): LabelledForm {
  if (type === 'imagefolder') return 'image-folder';
  if (type === 'filelist') return 'file-list';
  const set = downstreamSet(name);
  const isBinary = set !== undefined && set.form !== 'image-folder' && set.form !== 'file-list';
  if (type === 'special' && isBinary) return set.form;
  const special = DOWNSTREAM_SETS.filter(({ form }) => form !== 'image-folder' && form !== 'file-list');
  throw new SlipError(
    'data',
    `${name} in ${where} has type ${JSON.stringify(type)}; imagefolder and filelist are read, and special for ` +
      special.map((one) => one.name).join(', '),
  );
}

async function readCatalog({ catalog, root = '' }: CatalogPlace): Promise<Readonly<Record<string, Entry>>> {
  if (catalog === '') return preparedSets(root);
  try {
    return JSON.parse(await readFile(catalog, 'utf8'));
  } catch (error) {
    throw new SlipError('data', `--catalog: cannot read ${catalog}: ${(error as Error).message}`, { cause: error });
  }
}

function preparedSets(root: string): Readonly<Record<string, Entry>> {
  const types: Partial<Record<LabelledForm, string>> = { 'image-folder': 'imagefolder', 'file-list': 'filelist' };
  return Object.fromEntries(
    DOWNSTREAM_SETS.map(({ name, form, train, test }) => [
      name,
      { path: path.resolve(root, name), type: types[form] ?? 'special', train, test },
    ]),
  );
}

async function isFolder(folder: string): Promise<boolean> {
  return (await stat(folder).catch(() => undefined))?.isDirectory() === true;
}
