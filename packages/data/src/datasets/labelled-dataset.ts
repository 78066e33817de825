// What a set of labelled pictures is: images with a class, by number. Sets with captions are captioned-dataset.ts.
import { fileImage, type ImageSource } from '../images/image-source.js';
import { openImageFolder } from './image-folder.js';

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
  readonly image: ImageSource;
  /** In [0, classes). */
  readonly label: number;
}

/** Plain data: loader threads are sent it. */
export interface LabelledLocation {
  readonly kind: 'image-folder';
  /** For messages. */
  readonly dataset: string;
  /** Sub-folders are classes, in the order of their names. */
  readonly root: string;
}

/** @throws SlipError `data` naming the folder and what is wanted there */
export async function openLabelled(location: LabelledLocation): Promise<LabelledDataset> {
  const { classes, items } = await openImageFolder(location.root);
  return {
    name: location.dataset,
    length: items.length,
    classes,
    describe: (index) => ({ image: fileImage(items[index].file), label: items[index].label }),
    close: () => undefined,
  };
}
