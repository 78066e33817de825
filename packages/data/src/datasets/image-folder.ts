// Labelled images as folders per class (reference 6.1).
import path from 'node:path';
import { SlipError } from '@slip/core';
import { byCodePoint, isImageName, listFolder, walkFolders } from './folder-tree.js';

export interface LabelledImage {
  readonly file: string;
  /** Index of the class. */
  readonly label: number;
}

export interface ImageFolder {
  /** Names of the sub-folders, sorted by code point. */
  readonly classes: readonly string[];
  /** By class, then by path. */
  readonly items: readonly LabelledImage[];
}

const WANTED = 'one sub-folder per class with images in it is wanted';

/** Links to folders and files are followed. @throws SlipError `data` when the folder is missing, has no class folders or no images */
export async function openImageFolder(root: string): Promise<ImageFolder> {
  const { folders: classes } = await listFolder(root).catch((error: Error) => {
    throw new SlipError('data', `the image folder ${root} cannot be read: ${error.message}; ${WANTED}`, {
      cause: error,
    });
  });
  const items: LabelledImage[] = [];
  for (const [label, name] of classes.entries()) {
    for (const file of await listImages(path.join(root, name))) items.push({ file, label });
  }
  if (items.length === 0) {
    throw new SlipError(
      'data',
      `the image folder ${root} has ${classes.length} class folders and no images in them; ${WANTED}`,
    );
  }
  return { classes, items };
}

async function listImages(root: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { folder, files } of walkFolders(root)) {
    for (const name of files) if (isImageName(name)) found.push(path.join(folder, name));
  }
  return found.sort(byCodePoint);
}
