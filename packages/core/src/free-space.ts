// Whether a file will fit where it is to be written, told before it is begun.
import { statfs } from 'node:fs/promises';
import path from 'node:path';
import { type ErrorCode, SlipError } from './errors.js';

/** Better to know before writing for minutes. File systems that cannot say are not asked twice. */
export async function checkFreeSpace(file: string, neededBytes: number, code: ErrorCode = 'checkpoint'): Promise<void> {
  const folder = path.dirname(path.resolve(file));
  const space = await statfs(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') throw new SlipError(code, `there is no folder ${folder}; make it first`);
    throw new SlipError(code, `cannot write into ${folder}: ${error.message}`);
  });
  const free = space.bavail * space.bsize;
  if (space.blocks > 0 && free < neededBytes) {
    throw new SlipError(code, `${file} needs ${neededBytes} bytes, ${folder} has ${free} free; free some space`);
  }
}
