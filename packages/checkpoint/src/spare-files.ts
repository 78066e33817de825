// On tmpfs, files of the checkpoint that retention dropped are written over by the next save: finding pages anew takes three times as
// long as filling them. Only files that nobody else has open, mapped or linked: a reader of the old ones keeps what it reads.
import { constants } from 'node:fs';
import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { roleOf } from './folder-names.js';
import { isInMemory } from './memory-folder.js';

// fcntl.h of Linux.
const F_SETLEASE = 1024;
const F_WRLCK = 1;
const F_UNLCK = 2;

type Fcntl = (fd: number, command: number, kind: 'int', value: number) => number;

let loaded: Fcntl | 'missing' | undefined;

/** Whether files in `folder` are worth keeping for the next save, and can be told from those that others use. */
export async function keepsSpares(folder: string): Promise<boolean> {
  return loadFcntl() !== undefined && (await isInMemory(folder));
}

/**
 * Fills the empty folder `temporary` of a new save with what may be written over; all spares are gone afterwards.
 * @returns bytes of the files that it found
 */
export async function takeSpares(folder: string, temporary: string): Promise<number> {
  let bytes = 0;
  for (const spare of (await listSpares(folder)).slice(-1)) {
    for (const name of await readdir(path.join(folder, spare))) {
      if (!name.endsWith('.safetensors')) continue;
      const file = path.join(temporary, name);
      // Moved first: by its old name nobody can open it any more, and who has done so is seen.
      await rename(path.join(folder, spare, name), file);
      if (await isOurs(file)) bytes += (await stat(file)).size;
      else await rm(file, { recursive: true });
    }
  }
  await dropSpares(folder);
  return bytes;
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

/** @returns oldest first */
async function listSpares(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => roleOf(name).kind === 'spare').sort();
}

/** The kernel gives a write lease for a file only to its sole user; mappings count, whoever made them. */
async function isOurs(file: string): Promise<boolean> {
  const { nlink } = await stat(file);
  const fcntl = loadFcntl();
  if (nlink !== 1 || fcntl === undefined) return false;
  let handle: FileHandle;
  try {
    handle = await open(file, constants.O_RDWR | constants.O_NOFOLLOW);
  } catch {
    return false;
  }
  try {
    if (fcntl(handle.fd, F_SETLEASE, 'int', F_WRLCK) === -1) return false;
    return fcntl(handle.fd, F_SETLEASE, 'int', F_UNLCK) === 0;
  } finally {
    await handle.close();
  }
}

function loadFcntl(): Fcntl | undefined {
  loaded ??= bindFcntl();
  return loaded === 'missing' ? undefined : loaded;
}

function bindFcntl(): Fcntl | 'missing' {
  if (process.platform !== 'linux') return 'missing';
  try {
    const koffi: typeof import('koffi') = createRequire(import.meta.url)('koffi');
    // null is the process itself, whatever its C library is called.
    return koffi.load(null).func('int fcntl(int fd, int command, ...)');
  } catch {
    return 'missing';
  }
}
