// Folders and their files, links followed, loops of links ended.
import { readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';

const IMAGE_EXTENSIONS = new Set(['.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp']);

export interface ListedFolder {
  readonly folder: string;
  /** Names of sub-folders and files, sorted by code point. */
  readonly folders: readonly string[];
  readonly files: readonly string[];
}

/** `root` and everything below it, a folder before its sub-folders. @throws the system's error when one cannot be read */
export async function* walkFolders(root: string, above: ReadonlySet<string> = new Set()): AsyncGenerator<ListedFolder> {
  const real = await realpath(root);
  if (above.has(real)) return;
  const listed = await listFolder(root);
  yield listed;
  const here = new Set([...above, real]);
  for (const name of listed.folders) yield* walkFolders(path.join(root, name), here);
}

export async function listFolder(folder: string): Promise<ListedFolder> {
  const folders: string[] = [];
  const files: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const target = entry.isSymbolicLink() ? await stat(path.join(folder, entry.name)).catch(() => entry) : entry;
    if (target.isDirectory()) folders.push(entry.name);
    else files.push(entry.name);
  }
  return { folder, folders: folders.sort(byCodePoint), files: files.sort(byCodePoint) };
}

export function isImageName(name: string): boolean {
  return IMAGE_EXTENSIONS.has(path.extname(name).toLowerCase());
}

export function byCodePoint(a: string, b: string): number {
  return a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b));
}
