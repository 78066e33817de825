// The few calls of the C library that shared memory needs: mapping, reserving, and waiting on a word of memory (futex).
// Nothing here knows what the memory is for.
import os from 'node:os';
import { type Koffi, withKoffi } from '../koffi.js';

export interface Native {
  /** Maps the first `bytes` of the file behind `fd`, shared, for as long as the process lives. @throws Error with the system's error number */
  map(fd: number, bytes: number): ArrayBuffer;
  /** Maps memory of this process's own, zeros. @throws Error with the system's error number */
  mapOwn(bytes: number): ArrayBuffer;
  /** Maps the pages of `view`, which were mapped here, a second time in place of those at `target`. @throws Error */
  mirror(view: Float32Array, target: bigint): void;
  /** Reserves a part of the file, so that no later access can find the file system full. @returns 0 or the error number */
  reserve(fd: number, offset: number, bytes: number): number;
  /** Sleeps until `wake` is called for this word, at most `timeoutMs`, and not at all when it does not hold `value`. */
  wait(word: Int32Array, value: number, timeoutMs: number): void;
  /** Wakes all who sleep on this word, in whatever process. */
  wake(word: Int32Array): void;
}

const [FUTEX_WAIT, FUTEX_WAKE] = [0, 1];
const [PROT_READ_WRITE, MAP_SHARED] = [3, 1];
/** Shared with nobody as long as this process does not fork, but private memory cannot be mapped twice. */
const MAP_SHARED_ANONYMOUS = 0x21;
const MREMAP_MAYMOVE_FIXED = 3;
/** Number of the system call `futex`, by architecture. */
const FUTEX: Readonly<Record<string, number>> = { x64: 202, arm64: 98 };

let loaded: Native | { readonly missing: string } | undefined;

/** @returns the calls, or why they cannot be had */
export function loadNative(): Native | { readonly missing: string } {
  loaded ??= load();
  return loaded;
}

function load(): Native | { readonly missing: string } {
  const futexNumber = FUTEX[process.arch];
  if (os.platform() !== 'linux' || futexNumber === undefined) {
    return { missing: `shared memory is supported on Linux (x64, arm64), not on ${os.platform()} ${process.arch}` };
  }
  return withKoffi('the C library cannot be used', (koffi) => bind(koffi, futexNumber));
}

function bind(koffi: Koffi, futexNumber: number): Native {
  // null is the process itself, whatever its C library is called.
  const libc = koffi.load(null);
  const mmap = libc.func('void *mmap(void *addr, size_t length, int prot, int flags, int fd, long offset)');
  const mremap = libc.func('size_t mremap(size_t address, size_t length, size_t newLength, int flags, size_t target)');
  const fallocate = libc.func('int posix_fallocate(int fd, long offset, long length)');
  const futex = 'long syscall(long number, void *word, int op, int value, int64_t *timeout, void *word2, int value3)';
  const syscall = libc.func(futex);
  const timeout = new BigInt64Array(2);
  const mapped = (address: unknown, bytes: number): ArrayBuffer => {
    if (koffi.address(address) === 2n ** 64n - 1n) throw new Error(`mmap failed with error ${koffi.errno()}`);
    return koffi.view(address, bytes) as ArrayBuffer;
  };
  return {
    map(fd, bytes) {
      // Pages are not looked up ahead: they are there (`reserve`), and of the arenas of many ranks one touches a small part.
      const address = mmap(null, bytes, PROT_READ_WRITE, MAP_SHARED, fd, 0);
      return mapped(address, bytes);
    },
    mapOwn: (bytes) => mapped(mmap(null, bytes, PROT_READ_WRITE, MAP_SHARED_ANONYMOUS, -1, 0), bytes),
    mirror(view, target) {
      // The old size 0 leaves the first mapping as it is.
      const address = mremap(koffi.address(view), 0, view.byteLength, MREMAP_MAYMOVE_FIXED, target);
      if (BigInt(address) !== target) throw new Error(`mremap failed with error ${koffi.errno()}`);
    },
    reserve: (fd, offset, bytes) => fallocate(fd, offset, bytes) as number,
    wait(word, value, timeoutMs) {
      timeout[0] = BigInt(Math.floor(timeoutMs / 1000));
      timeout[1] = BigInt(Math.floor((timeoutMs % 1000) * 1e6));
      syscall(futexNumber, word, FUTEX_WAIT, value, timeout, null, 0);
    },
    wake(word) {
      syscall(futexNumber, word, FUTEX_WAKE, 2 ** 31 - 1, null, null, 0);
    },
  };
}
