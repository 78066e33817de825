// One download of a model into a cache at a time: a file beside the part names who is at it.
import { open, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { SlipError } from '@slip/core';

/**
 * Runs `work` alone. A lock whose process is dead on this machine is taken over.
 * @param waitMs how long to wait for somebody else who is at it
 * @throws SlipError `data` when somebody else is still at it then
 */
export async function withLock<T>(file: string, waitMs: number, work: () => Promise<T>): Promise<T> {
  const until = Date.now() + waitMs;
  let locked = await tryLock(file);
  while (!locked && Date.now() < until && !(await isAbandoned(file))) {
    await setTimeout(200);
    locked = await tryLock(file);
  }
  if (!locked) {
    if (!(await isAbandoned(file))) {
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
  try {
    const handle = await open(file, 'wx');
    await handle.writeFile(JSON.stringify({ host: os.hostname(), pid: process.pid }));
    await handle.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw new SlipError('data', `cannot write ${file}: ${(error as Error).message}`, { cause: error });
  }
}

async function isAbandoned(file: string): Promise<boolean> {
  try {
    const { host, pid } = JSON.parse(await readFile(file, 'utf8'));
    if (host !== os.hostname() || !Number.isSafeInteger(pid)) return false;
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
