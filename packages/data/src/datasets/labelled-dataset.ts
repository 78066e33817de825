// What a set of labelled pictures is: images with a class, by number. Its listing is in an index file that all processes of a machine
// share. Sets with captions are captioned-dataset.ts.
import { access } from 'node:fs/promises';
import { SlipError } from '@slip/core';
import type { LabelledForm } from '../downstream/sets.js';
import type { PictureSource } from '../images/pixel-source.js';
import { openCachedIndex } from '../index-file/cached-index.js';
import { cifar10, cifar100, mnist, stl10 } from './labelled/binaries.js';
import { fileList } from './labelled/file-list.js';
import { imageFolder } from './labelled/image-folder.js';
import type { LabelledReader } from './labelled/labelled-reader.js';

export interface LabelledDataset {
  readonly name: string;
  readonly length: number;
  /** Names of the classes, by label. */
  readonly classes: readonly string[];
  /** @param index in [0, length) */
  describe(index: number): LabelledSample;
  close(): void;
}

export interface LabelledSample {
  readonly image: PictureSource;
  /** In [0, classes). */
  readonly label: number;
}

/** Plain data: loader threads are sent it. */
export interface LabelledLocation {
  readonly kind: LabelledForm;
  /** Name of the set: for messages, and to know its classes where the files do not name them. */
  readonly dataset: string;
  /** Of an image folder the folder of the split, else that of the set. */
  readonly root: string;
  /** Not for image folders. */
  readonly split?: string;
  /** Where the index is kept; beside the set unless given. */
  readonly indexDir?: string;
}

const READERS: Readonly<Record<LabelledForm, LabelledReader>> = {
  'image-folder': imageFolder,
  'file-list': fileList,
  ...{ cifar10, cifar100, stl10, mnist },
};

/** The first record of the index has the classes, the others a picture each. */
const FIRST_PICTURE = 1;

/**
 * The first time, folders are listed and files looked through; later this takes milliseconds.
 * @throws SlipError `data` naming the file or folder and what is wanted there
 */
export async function openLabelled(location: LabelledLocation): Promise<LabelledDataset> {
  const { kind, dataset, split = '', indexDir } = location;
  const reader = READERS[kind];
  const sources = reader.sources(location);
  for (const source of sources) {
    await access(source).catch((error: Error) => {
      throw new SlipError(
        'data',
        `${dataset}: ${source} cannot be read: ${error.message}; ${reader.wanted(location)}`,
        {
          cause: error,
        },
      );
    });
  }
  const index = await openCachedIndex({
    kind: `labelled ${kind}`,
    subject: sources[0],
    indexDir,
    settings: [split, dataset],
    recordsPerBlock: 64,
    async build({ writer, watch }) {
      for (const source of sources) await watch(source);
      const { classes, records } = await reader.scan(location, watch);
      writer.add(classes);
      for await (const { label, place, offset = 0 } of records) writer.add([String(label), place, String(offset)]);
      if (writer.count === FIRST_PICTURE) throw new SlipError('data', `${sources[0]} has no pictures`);
    },
  });
  return {
    name: dataset,
    length: index.count - FIRST_PICTURE,
    classes: index.read(0),
    describe(sample) {
      const [label, place, offset] = index.read(sample + FIRST_PICTURE);
      return { image: reader.picture(location, place, Number(offset)), label: Number(label) };
    },
    close: () => index.close(),
  };
}
