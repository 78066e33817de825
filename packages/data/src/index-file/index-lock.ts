// One maker of an index at a time, over all processes and machines that see the folder: a file that is touched while the
// work goes on. Whoever finds it waits; a lock that nobody touches any more is taken over.
import { open, readFile, rm, stat, utimes } from 'node:fs/promises';
import os from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';

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
  while (!(await tryLock(file))) {
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

async function tryLock(file: string): Promise<boolean> {
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

async function touch(file: string): Promise<void> {
  const now = new Date();
  await utimes(file, now, now).catch(() => undefined);
}

async function isAbandoned(file: string): Promise<boolean> {
  try {
    const { mtimeMs } = await stat(file);
    if (Date.now() - mtimeMs > ABANDONED_MS) return true;
    const { host, pid } = JSON.parse(await readFile(file, 'utf8'));
    if (host !== os.hostname() || !Number.isSafeInteger(pid)) return false;
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
