// Labelled images as folders per class (reference 6.1).
import { readdir } from 'node:fs/promises';
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

/** @throws SlipError `data` when the folder is missing, has no class folders or no images */
export async function openImageFolder(root: string): Promise<ImageFolder> {
  const entries = await readdir(root, { withFileTypes: true }).catch((error: Error) => {
    throw new SlipError('data', `the image folder ${root} cannot be read: ${error.message}`, { cause: error });
  });
  const classes = entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort(byCodePoint);
  const items: LabelledImage[] = [];
  for (const [label, name] of classes.entries()) {
    for (const file of await listImages(path.join(root, name))) items.push({ file, label });
  }
  if (items.length === 0) {
    throw new SlipError('data', `the image folder ${root} has ${classes.length} class folders and no images in them`);
  }
  return { classes, items };
}

async function listImages(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true });
  return names
    .filter((name) => EXTENSIONS.has(path.extname(name).toLowerCase()))
    .map((name) => path.join(folder, name))
    .sort(byCodePoint);
}

function byCodePoint(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
