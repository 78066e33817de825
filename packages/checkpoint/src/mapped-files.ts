// Files on tmpfs that stay mapped from one save to the next in the thread that writes them: to fill one is a copy, without system
// calls and without looking for pages, and its hash needs no copy. Linux only, and only where the package koffi is.
import { closeSync, fstatSync, ftruncateSync, statSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { createRequire } from 'node:module';

/** What statfs(2) calls tmpfs. */
const TMPFS = 0x01021994;
const PAGE = 4096;
// mman.h and fcntl.h of Linux.
const [PROT_NONE, PROT_READ_WRITE] = [0, 3];
/** Shared, with all pages looked up at once. */
const MAP_FILE = 0x8001;
const MAP_FIXED = 0x10;
/** Private, without memory behind it. */
const MAP_NOTHING = 0x4022;
const F_SETLEASE = 1024;
const [F_WRLCK, F_UNLCK] = [1, 2];
/** Files of so many saves as a run with the usual retention goes through. */
const MOST_FILES = 16;

interface Native {
  mmap(address: bigint, bytes: number, protection: number, flags: number, fd: number, offset: number): bigint | number;
  fcntl(fd: number, command: number, kind: 'int', value: number): number;
  view(address: bigint, bytes: number): ArrayBuffer;
}

/** Addresses, which are never given back: their view would outlive them. What is mapped there changes. */
interface Range {
  readonly address: bigint;
  readonly view: Uint8Array;
}

interface MappedFile {
  readonly fd: number;
  readonly range: Range;
}

let loaded: Native | 'missing' | undefined;

/** Whether files in this folder can be mapped, and gain by it. */
export async function canMapFiles(folder: string): Promise<boolean> {
  return native() !== undefined && (await statfs(folder)).type === TMPFS;
}

export class MappedFiles {
  /** By their number in the file system, the one used last at the end. */
  private readonly files = new Map<string, MappedFile>();
  private free: Range[] = [];

  /**
   * Whether the file at this place is mapped here, can have so many bytes, and may be written over: it has no second name, and nobody else has it
   * open or mapped. Whoever reads it keeps what he reads.
   */
  has(place: string, bytes: number): boolean {
    const file = this.find(place);
    return file !== undefined && file.range.view.length === pagesOf(bytes) && isSole(file.fd);
  }

  /** @returns the bytes of a file that `has` has been asked for, to be written over */
  open(place: string, bytes: number): Uint8Array {
    const { fd, range } = this.find(place)!;
    const key = identity(fstatSync(fd));
    this.files.delete(key);
    this.files.set(key, { fd, range });
    // Within the last page, which is there.
    ftruncateSync(fd, bytes);
    return range.view.subarray(0, bytes);
  }

  /**
   * Maps a whole file that was written in another way, for the next time; without success that one will be written so again. Takes a while.
   * @param fd open for reading and writing, and closed here in the end
   */
  adopt(fd: number): void {
    try {
      this.files.set(identity(fstatSync(fd)), { fd, range: this.map(fd) });
    } catch {
      closeSync(fd);
    }
  }

  private map(fd: number): Range {
    const bytes = pagesOf(fstatSync(fd).size);
    const index = this.free.findIndex(({ view }) => view.length === bytes);
    const [known] = index < 0 ? [] : this.free.splice(index, 1);
    const address = mapAt(known?.address ?? 0n, bytes, PROT_READ_WRITE, known ? MAP_FILE | MAP_FIXED : MAP_FILE, fd);
    return known ?? { address, view: new Uint8Array(native()!.view(address, bytes)) };
  }

  /** Lets go of files that were deleted, whose memory would stay, and of those that were not used for long. */
  tidy(): void {
    for (const [key, file] of this.files) {
      if (fstatSync(file.fd).nlink === 0 || this.files.size > MOST_FILES) this.letGo(key, file);
    }
  }

  /** Lets go of all. */
  close(): void {
    for (const [key, file] of this.files) this.letGo(key, file);
  }

  private find(place: string): MappedFile | undefined {
    const found = statSync(place, { throwIfNoEntry: false });
    return found && this.files.get(identity(found));
  }

  private letGo(key: string, { fd, range }: MappedFile): void {
    mapAt(range.address, range.view.length, PROT_NONE, MAP_NOTHING | MAP_FIXED, -1);
    closeSync(fd);
    this.free.push(range);
    this.files.delete(key);
  }
}

/** The kernel gives a write lease for a file only to its sole user; mappings count, whoever made them. */
function isSole(fd: number): boolean {
  const { fcntl } = native()!;
  if (fstatSync(fd).nlink !== 1 || fcntl(fd, F_SETLEASE, 'int', F_WRLCK) === -1) return false;
  return fcntl(fd, F_SETLEASE, 'int', F_UNLCK) === 0;
}

function mapAt(address: bigint, bytes: number, protection: number, flags: number, fd: number): bigint {
  const mapped = BigInt(native()!.mmap(address, bytes, protection, flags, fd, 0));
  if (mapped === 2n ** 64n - 1n) throw new Error(`mmap of ${bytes} bytes failed`);
  return mapped;
}

function identity({ dev, ino }: { readonly dev: number; readonly ino: number }): string {
  return `${dev} ${ino}`;
}

/** At least one, because nothing cannot be mapped. */
function pagesOf(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / PAGE)) * PAGE;
}

function native(): Native | undefined {
  loaded ??= load();
  return loaded === 'missing' ? undefined : loaded;
}

function load(): Native | 'missing' {
  if (process.platform !== 'linux') return 'missing';
  try {
    const koffi: typeof import('koffi') = createRequire(import.meta.url)('koffi');
    // null is the process itself, whatever its C library is called.
    const libc = koffi.load(null);
    return {
      mmap: libc.func('size_t mmap(size_t address, size_t bytes, int protection, int flags, int fd, long offset)'),
      fcntl: libc.func('int fcntl(int fd, int command, ...)'),
      view: (address, bytes) => koffi.view(address, bytes) as ArrayBuffer,
    };
  } catch {
    return 'missing';
  }
}
