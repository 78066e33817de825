// A file that says who is at something, over all processes that see its folder. Waiting and taking over are the caller's decision.
import { open, readFile } from 'node:fs/promises';
import os from 'node:os';

/**
 * Makes the file with this process in it.
 * @returns false when there is one already
 * @throws the system's error when the folder cannot be written to
 */
export async function tryLockFile(file: string): Promise<boolean> {
  try {
    const handle = await open(file, 'wx');
    await handle.writeFile(JSON.stringify({ host: os.hostname(), pid: process.pid }));
    await handle.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Whether the process in the file was one of this machine and has ended; false where that cannot be told. */
export async function isLockHolderDead(file: string): Promise<boolean> {
  try {
    const { host, pid } = JSON.parse(await readFile(file, 'utf8'));
    if (host !== os.hostname() || !Number.isSafeInteger(pid)) return false;
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
