// Where files can be mapped, those of the checkpoint that retention dropped wait for the next save, which writes over them: finding
// pages anew takes three times as long as filling them.
import { readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { roleOf } from './folder-names.js';

/**
 * Moves the files of the newest spare into the empty folder `temporary` of a new save; all spares are gone afterwards. From then on nobody
 * can open them by their old names; who has them open already is for the writer to find out (`MappedFiles`).
 */
export async function takeSpares(folder: string, temporary: string): Promise<void> {
  for (const file of await newestFiles(folder)) await rename(file, path.join(temporary, path.basename(file)));
  await dropSpares(folder);
}

/** What `takeSpares` would find. */
export async function spareBytes(folder: string): Promise<number> {
  const stats = await Promise.all((await newestFiles(folder)).map((file) => stat(file)));
  return stats.reduce((sum, { size }) => sum + size, 0);
}

/** To be called when no further save follows. */
export async function dropSpares(folder: string): Promise<void> {
  for (const name of await listSpares(folder)) await rm(path.join(folder, name), { recursive: true, force: true });
}

/** What a new checkpoint did not write over, because it has other files. */
export async function dropUnwritten(temporary: string, written: ReadonlySet<string>): Promise<void> {
  for (const name of await readdir(temporary)) {
    if (!written.has(name)) await rm(path.join(temporary, name), { recursive: true });
  }
}

async function newestFiles(folder: string): Promise<string[]> {
  const newest = (await listSpares(folder)).at(-1);
  if (newest === undefined) return [];
  const names = await readdir(path.join(folder, newest));
  return names.filter((name) => name.endsWith('.safetensors')).map((name) => path.join(folder, newest, name));
}

/** @returns oldest first */
async function listSpares(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => roleOf(name).kind === 'spare').sort();
}
