// Pictures of a folder without classes.
import path from 'node:path';
import { SlipError } from '@slip/core';
import { byCodePoint, isImageName, walkFolders } from './folder-tree.js';

/**
 * Links to folders and files are followed.
 * @returns paths below `root` with slashes, sorted by code point
 * @throws SlipError `data` when the folder is missing or has no pictures
 */
export async function listImageFiles(root: string): Promise<string[]> {
  const found: string[] = [];
  try {
    for await (const { folder, files } of walkFolders(root)) {
      const below = path.relative(root, folder).split(path.sep).join('/');
      for (const name of files) if (isImageName(name)) found.push(below === '' ? name : `${below}/${name}`);
    }
  } catch (error) {
    throw new SlipError('data', `the folder ${root} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  if (found.length === 0) throw new SlipError('data', `the folder ${root} has no pictures (jpg, png, webp, ...) in it`);
  return found.sort(byCodePoint);
}
