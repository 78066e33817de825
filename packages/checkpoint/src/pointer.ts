// `latest` and `best`: names beside the checkpoints that point at one of them, replaced atomically. For people and other
// tools; which checkpoint a run continues from never depends on `latest`.
import { readFile, readlink, rename, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { syncFolder, writeFileAtomic } from '@slip/core';

export type PointerName = 'latest' | 'best';

/** A relative symbolic link, or a one-line file on file systems without links. */
export async function setPointer(folder: string, pointer: PointerName, target: string): Promise<void> {
  const temporary = path.join(folder, `.${pointer}.tmp`);
  await rm(temporary, { force: true });
  try {
    await symlink(target, temporary, 'dir');
  } catch (error) {
    if (!['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw error;
    await writeFileAtomic(path.join(folder, pointer), `${target}\n`);
    return;
  }
  try {
    await rename(temporary, path.join(folder, pointer));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

/** The name that a pointer holds, whether or not it exists; undefined where there is no pointer. */
export async function readPointer(folder: string, pointer: PointerName): Promise<string | undefined> {
  const place = path.join(folder, pointer);
  const link = await readlink(place).catch(() => undefined);
  const text = link ?? (await readFile(place, 'utf8').catch(() => undefined));
  return text === undefined ? undefined : path.basename(text.trim());
}
