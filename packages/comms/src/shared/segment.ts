// Memory that the processes of one machine share: a file in /dev/shm that never has a name, so that nothing can be left
// behind, however a process ends. Others open it through the process that made it.
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readFileSync, readlinkSync } from 'node:fs';
import os from 'node:os';
import { SlipError } from '@slip/core';
import type { Native } from './native.js';

export const SHARED_FOLDER = '/dev/shm';
export const PAGE = 4096;
/** Linux: a file without a name. The bits of O_DIRECTORY belong to it and differ by architecture. */
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;
const [ENOSPC, ENOMEM] = [os.constants.errno.ENOSPC, os.constants.errno.ENOMEM];

/** How another process of this machine finds a segment. */
export interface SegmentPlace {
  readonly pid: number;
  readonly fd: number;
}

/** An open segment; closing it does not end its mappings. */
export interface Segment {
  readonly fd: number;
  readonly bytes: number;
}

/** Equal for processes that can open each other's segments: same kernel, same process numbers, same /dev/shm. */
export function machineKey(): string {
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return `${boot} ${readlinkSync('/proc/self/ns/pid')} ${os.userInfo().uid}`;
}

/** @throws SlipError `rendezvous` when there is no such file system */
export function createSegment(bytes: number): Segment {
  try {
    const fd = openSync(SHARED_FOLDER, O_TMPFILE | constants.O_RDWR, 0o600);
    ftruncateSync(fd, bytes);
    return { fd, bytes };
  } catch (cause) {
    throw new SlipError('rendezvous', `no shared memory in ${SHARED_FOLDER}: ${(cause as Error).message}`, { cause });
  }
}

/** @throws SlipError `rendezvous` when the process is gone or the file is another one */
export function openSegment({ pid, fd }: SegmentPlace, bytes: number): Segment {
  try {
    const own = openSync(`/proc/${pid}/fd/${fd}`, constants.O_RDWR);
    const { size } = fstatSync(own);
    if (size !== bytes) throw new Error(`it has ${size} bytes instead of ${bytes}`);
    return { fd: own, bytes };
  } catch (cause) {
    const reason = `cannot open shared memory of process ${pid}: ${(cause as Error).message}`;
    throw new SlipError('rendezvous', reason, { cause });
  }
}

export function closeSegment({ fd }: Segment): void {
  closeSync(fd);
}

/** Takes this part of the memory now, on the memory node of the caller. @throws SlipError `rendezvous` when it is full */
export function reserve(native: Native, { fd }: Segment, offset: number, bytes: number): void {
  const code = bytes === 0 ? 0 : native.reserve(fd, offset, bytes);
  if (code === 0) return;
  const megabytes = Math.ceil(bytes / 2 ** 20);
  const full = code === ENOSPC || code === ENOMEM;
  const reason = full ? `${SHARED_FOLDER} is full` : `error ${code} from posix_fallocate`;
  throw new SlipError('rendezvous', `cannot reserve ${megabytes} MiB of shared memory: ${reason}`);
}
