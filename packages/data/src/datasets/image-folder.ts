// Labelled images as folders per class (reference 6.1).
import { readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { SlipError } from '@slip/core';

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

const EXTENSIONS = new Set(['.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp']);
const WANTED = 'one sub-folder per class with images in it is wanted';

/** Links to folders and files are followed. @throws SlipError `data` when the folder is missing, has no class folders or no images */
export async function openImageFolder(root: string): Promise<ImageFolder> {
  const { folders } = await listFolder(root).catch((error: Error) => {
    throw new SlipError('data', `the image folder ${root} cannot be read: ${error.message}; ${WANTED}`, {
      cause: error,
    });
  });
  const classes = folders.sort(byCodePoint);
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

async function listImages(folder: string): Promise<string[]> {
  return (await collect(folder, new Set())).sort(byCodePoint);
}

/** @param above the real paths of the folders above, so that a link back to one of them ends */
async function collect(folder: string, above: ReadonlySet<string>): Promise<string[]> {
  const real = await realpath(folder);
  if (above.has(real)) return [];
  const { folders, files } = await listFolder(folder);
  const images = files.filter((name) => EXTENSIONS.has(path.extname(name).toLowerCase()));
  const found = images.map((name) => path.join(folder, name));
  for (const name of folders) found.push(...(await collect(path.join(folder, name), new Set([...above, real]))));
  return found;
}

async function listFolder(folder: string): Promise<{ folders: string[]; files: string[] }> {
  const folders: string[] = [];
  const files: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const target = entry.isSymbolicLink() ? await stat(path.join(folder, entry.name)).catch(() => entry) : entry;
    if (target.isDirectory()) folders.push(entry.name);
    else files.push(entry.name);
  }
  return { folders, files };
}

function byCodePoint(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
