// Labelled pictures as folders, one for each class (reference 6.1).
import path from 'node:path';
import { SlipError } from '@slip/core';
import { fileImage } from '../../images/image-source.js';
import { byCodePoint, isImageName, listFolder, walkFolders } from '../folder-tree.js';
import type { LabelledReader, PictureRecord } from './labelled-reader.js';

const WANTED = 'one sub-folder per class with images in it is wanted';
/** Where indexes are kept, perhaps beside class folders. */
const INDEX_FOLDER = '.slip-index';

/** Classes sorted by code point, pictures by class and path. Links to folders and files are followed. */
export const imageFolder: LabelledReader = {
  sources: ({ root }) => [root],
  wanted: () => WANTED,
  async scan({ root }, watch) {
    const { folders } = await listFolder(root);
    const classes = folders.filter((name) => name !== INDEX_FOLDER);
    return { classes, records: picturesOf(root, classes, watch) };
  },
  picture: ({ root }, place) => fileImage(path.join(root, place)),
};

async function* picturesOf(
  root: string,
  classes: readonly string[],
  watch: (source: string) => Promise<unknown>,
): AsyncGenerator<PictureRecord> {
  let count = 0;
  for (const [label, name] of classes.entries()) {
    const found: string[] = [];
    for await (const { folder, files } of walkFolders(path.join(root, name))) {
      await watch(folder);
      for (const file of files) if (isImageName(file)) found.push(path.join(folder, file));
    }
    for (const file of found.sort(byCodePoint)) yield { label, place: path.relative(root, file) };
    count += found.length;
  }
  if (count === 0) {
    throw new SlipError(
      'data',
      `the image folder ${root} has ${classes.length} class folders and no images in them; ${WANTED}`,
    );
  }
}
