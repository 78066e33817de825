// One download of a file at a time: a file beside the part names who is at it.
import { rm } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { SlipError } from './errors.js';
import { isLockHolderDead, tryLockFile } from './lock-file.js';

/**
 * Runs `work` alone. A lock whose process is dead on this machine is taken over.
 * @param waitMs how long to wait for somebody else who is at it
 * @throws SlipError `data` when somebody else is still at it then
 */
export async function withDownloadLock<T>(file: string, waitMs: number, work: () => Promise<T>): Promise<T> {
  const until = Date.now() + waitMs;
  let locked = await tryLock(file);
  while (!locked && Date.now() < until && !(await isLockHolderDead(file))) {
    await setTimeout(200);
    locked = await tryLock(file);
  }
  if (!locked) {
    if (!(await isLockHolderDead(file))) {
      throw new SlipError(
        'data',
        `another command is downloading the same file; wait for it, or remove ${file} if there is none`,
      );
    }
    await rm(file, { force: true });
    if (!(await tryLock(file))) throw new SlipError('data', `another command has just begun to download; see ${file}`);
  }
  try {
    return await work();
  } finally {
    await rm(file, { force: true });
  }
}

async function tryLock(file: string): Promise<boolean> {
  return tryLockFile(file).catch((error: Error) => {
    throw new SlipError('data', `cannot write ${file}: ${error.message}`, { cause: error });
  });
}
