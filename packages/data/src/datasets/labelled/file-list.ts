// Labelled pictures as two numpy files of a folder, `<split>_images.npy` with paths and `<split>_labels.npy` (reference 6.1).
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { SlipError } from '@slip/core';
import { classList } from '../../downstream/class-list.js';
import { fileImage } from '../../images/image-source.js';
import { byCodePoint } from '../folder-tree.js';
import type { LabelledReader, PictureRecord } from './labelled-reader.js';
import { readNpyArray } from './npy-array.js';

/** Labels are numbers, or texts that are put in the order of the set's classes; of an unknown set, sorted. */
export const fileList: LabelledReader = {
  sources: ({ root, split }) => ['images', 'labels'].map((part) => path.join(root, `${split}_${part}.npy`)),
  wanted: ({ root, split }) => `${split}_images.npy and ${split}_labels.npy are wanted in ${root}`,
  async scan(location) {
    const [files, labels] = fileList.sources(location);
    const places = await readNpyArray(files);
    const values = await readNpyArray(labels);
    if (places.length !== values.length || places.length === 0) {
      throw new SlipError(
        'data',
        `${files} has ${places.length} paths, ${labels} has ${values.length} labels; as many of both are wanted, and not none`,
      );
    }
    const classes = classesOf(location.dataset, values);
    return {
      classes,
      records: recordsOf(await basePath(location.root, String(places[0])), places, values, classes, labels),
    };
  },
  picture: ({ root }, place) => fileImage(path.resolve(root, place)),
};

/** Paths are used as they are; relative ones are below the folder of the lists, or where that has none, where we are. */
async function basePath(root: string, first: string): Promise<string> {
  const isBelow = await stat(path.resolve(root, first)).then(
    () => true,
    () => false,
  );
  return isBelow ? '' : process.cwd();
}

async function* recordsOf(
  base: string,
  places: readonly (string | number)[],
  values: readonly (string | number)[],
  classes: readonly string[],
  file: string,
): AsyncGenerator<PictureRecord> {
  const byName = new Map(classes.map((name, label) => [name, label]));
  for (const [i, place] of places.entries()) {
    const value = values[i];
    const label = typeof value === 'number' ? value : (byName.get(value) ?? -1);
    if (!Number.isInteger(label) || label < 0 || label >= classes.length) {
      throw new SlipError(
        'data',
        `${file} has the label ${JSON.stringify(value)} as item ${i}; there are ${classes.length} classes`,
      );
    }
    yield { label, place: base === '' ? String(place) : path.resolve(base, String(place)) };
  }
}

function classesOf(dataset: string, values: readonly (string | number)[]): readonly string[] {
  const known = classList(dataset)?.map(({ folder }) => folder);
  if (known !== undefined) return known;
  if (values.every((value) => typeof value === 'string')) return [...new Set(values)].sort(byCodePoint);
  const most = values.reduce<number>((max, value) => Math.max(max, Number(value)), 0);
  return Array.from({ length: most + 1 }, (_, label) => String(label));
}
