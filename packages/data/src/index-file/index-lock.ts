// One maker of an index at a time, over all processes and machines that see the folder: a file that is touched while the
// work goes on. Whoever finds it waits; a lock that nobody touches any more is taken over.
import { rm, stat, utimes } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { isLockHolderDead, tryLockFile } from '@slip/core';

const TOUCH_MS = 2000;
const ABANDONED_MS = 30_000;
const POLL_MS = 100;

/**
 * Runs `work` when nobody else does.
 * @param isDone asked again and again while another one works; the first answer ends the waiting
 * @throws the system's error when the folder cannot be written to
 */
export async function withIndexLock<T>(
  file: string,
  isDone: () => Promise<T | undefined>,
  work: () => Promise<T>,
): Promise<T> {
  while (!(await tryLockFile(file))) {
    const done = await isDone();
    if (done !== undefined) return done;
    if (await isAbandoned(file)) await rm(file, { force: true });
    else await pause(POLL_MS);
  }
  const touching = setInterval(() => void touch(file), TOUCH_MS);
  try {
    return (await isDone()) ?? (await work());
  } finally {
    clearInterval(touching);
    await rm(file, { force: true });
  }
}

async function touch(file: string): Promise<void> {
  const now = new Date();
  await utimes(file, now, now).catch(() => undefined);
}

async function isAbandoned(file: string): Promise<boolean> {
  const found = await stat(file).catch(() => undefined);
  if (found === undefined) return false;
  return Date.now() - found.mtimeMs > ABANDONED_MS || isLockHolderDead(file);
}
