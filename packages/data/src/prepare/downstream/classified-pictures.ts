// Pictures of a set that have to be sorted into folders of classes: links to where they are, or copies, made as a whole or not at all.
import { access, copyFile, mkdir, readdir, rename, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { SlipError } from '@slip/core';

export interface ClassifiedPicture {
  readonly split: string;
  /** Folder of its class. */
  readonly folder: string;
  /** Absolute. */
  readonly source: string;
}

/** @param kind `link`: symbolic links, which take no space and break when the pictures are moved */
export async function sortPictures(
  pictures: readonly ClassifiedPicture[],
  target: string,
  kind: 'link' | 'copy',
  progress: (done: number, total: number) => void,
): Promise<void> {
  await buildFolder(target, async (building) => {
    const folders = new Set(pictures.map(({ split, folder }) => path.join(split, folder)));
    for (const folder of folders) await mkdir(path.join(building, folder), { recursive: true });
    for (const [i, { split, folder, source }] of pictures.entries()) {
      await access(source).catch(() => {
        throw new SlipError(
          'data',
          `${source} is named by the lists of the set, but not there; is all of it unpacked?`,
        );
      });
      const place = path.join(building, split, folder, path.basename(source));
      if (kind === 'copy') await copyFile(source, place);
      else await symlink(path.relative(path.join(target, split, folder), source), place);
      progress(i + 1, pictures.length);
    }
  });
}

/** The set's folder as a whole, or not at all. @throws SlipError `data` when it is there already */
export async function buildFolder(target: string, build: (building: string) => Promise<void>): Promise<void> {
  await refuseExisting(target);
  const building = `${target}.building-${process.pid}`;
  try {
    await build(building);
    await rm(target, { recursive: true, force: true });
    await rename(building, target);
  } catch (error) {
    await rm(building, { recursive: true, force: true });
    throw error;
  }
}

/** @throws SlipError `data` for a folder with anything in it */
export async function refuseExisting(target: string): Promise<void> {
  const there = await readdir(target).catch(() => []);
  if (there.length === 0) return;
  throw new SlipError(
    'data',
    `${target} is there already (${there.slice(0, 3).join(', ')}); remove it, or choose another --root`,
  );
}
