// The directory of a zip archive, zip64 included: which entries there are and where their bytes are. Everything read from
// the file is checked against the file's size before it is believed. Format: PKWARE APPNOTE 4.3, 4.5.3.
import type { FileHandle } from 'node:fs/promises';
import { type ErrorCode, SlipError } from './errors.js';

/** An open archive, and how it is called in errors. */
export interface ZipArchive {
  readonly file: string;
  readonly handle: FileHandle;
  /** Size of the file. */
  readonly bytes: number;
  /** `data` for the user's data sets, `checkpoint` for weights. */
  readonly errorCode: ErrorCode;
}

export interface ZipEntry {
  readonly name: string;
  /** 0 is stored, 8 is deflated. */
  readonly method: number;
  readonly crc32: number;
  readonly storedBytes: number;
  readonly sizeBytes: number;
  /** Of the entry's local header. */
  readonly headerOffset: number;
}

const END_BYTES = 22;
const END64_BYTES = 56;
const LOCATOR64_BYTES = 20;
const ENTRY_BYTES = 46;
const LOCAL_BYTES = 30;
const MAX_COMMENT_BYTES = 0xffff;
/** Checkpoints and image archives have some thousand entries; a directory beyond this belongs to something else. */
const MAX_DIRECTORY_BYTES = 256 << 20;

/** @throws SlipError with the archive's code when the file is truncated, damaged or no zip archive */
export async function readZipDirectory(archive: ZipArchive): Promise<ZipEntry[]> {
  const { offset, length, count } = await findDirectory(archive);
  if (length > MAX_DIRECTORY_BYTES) throw damaged(archive, `announces a directory of ${length} bytes`);
  if (offset + length > archive.bytes) throw damaged(archive, 'has a directory that ends beyond the file');
  const bytes = await readAt(archive, offset, length);
  const entries: ZipEntry[] = [];
  let at = 0;
  while (at + ENTRY_BYTES <= bytes.length && bytes.readUInt32LE(at) === 0x02014b50) {
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((field) => bytes.readUInt16LE(at + field));
    const next = at + ENTRY_BYTES + nameBytes + extraBytes + commentBytes;
    if (next > bytes.length) throw damaged(archive, 'has a directory that is cut off');
    const name = bytes.toString('utf8', at + ENTRY_BYTES, at + ENTRY_BYTES + nameBytes);
    const extra = bytes.subarray(at + ENTRY_BYTES + nameBytes, at + ENTRY_BYTES + nameBytes + extraBytes);
    entries.push(parseEntry(archive, name, bytes.subarray(at, at + ENTRY_BYTES), extra));
    at = next;
  }
  if (entries.length !== count) throw damaged(archive, `has ${entries.length} entries, its directory says ${count}`);
  // Entries that share their bytes would make a small file an endless one.
  if (entries.reduce((sum, { storedBytes }) => sum + storedBytes, 0) > archive.bytes) {
    throw damaged(archive, 'has entries that overlap');
  }
  return entries;
}

/** Where an entry's bytes begin: names and extra fields of the local header may differ from the directory's. */
export async function locateData(archive: ZipArchive, entry: ZipEntry): Promise<number> {
  if (entry.headerOffset + LOCAL_BYTES > archive.bytes)
    throw damaged(archive, `has an entry ${entry.name} beyond its end`);
  const header = await readAt(archive, entry.headerOffset, LOCAL_BYTES);
  if (header.readUInt32LE(0) !== 0x04034b50) throw damaged(archive, `has no header where ${entry.name} should begin`);
  const begin = entry.headerOffset + LOCAL_BYTES + header.readUInt16LE(26) + header.readUInt16LE(28);
  if (begin + entry.storedBytes > archive.bytes)
    throw damaged(archive, `has an entry ${entry.name} that ends beyond the file`);
  return begin;
}

interface DirectoryPlace {
  readonly offset: number;
  readonly length: number;
  readonly count: number;
}

async function findDirectory(archive: ZipArchive): Promise<DirectoryPlace> {
  const tailBytes = Math.min(archive.bytes, END_BYTES + MAX_COMMENT_BYTES);
  const tailStart = archive.bytes - tailBytes;
  const tail = await readAt(archive, tailStart, tailBytes);
  for (let at = tail.length - END_BYTES; at >= 0; at--) {
    if (tail.readUInt32LE(at) !== 0x06054b50 || at + END_BYTES + tail.readUInt16LE(at + 20) !== tail.length) continue;
    const place = {
      count: tail.readUInt16LE(at + 10),
      length: tail.readUInt32LE(at + 12),
      offset: tail.readUInt32LE(at + 16),
    };
    const saturated = place.count === 0xffff || place.length === 0xffffffff || place.offset === 0xffffffff;
    return (await findDirectory64(archive, tailStart + at)) ?? (saturated ? missing64(archive) : place);
  }
  throw damaged(archive, 'has no zip directory at its end, as happens when a copy or a download was cut off');
}

/** The zip64 record, where a locator stands right before the ordinary end record. */
async function findDirectory64(archive: ZipArchive, endOffset: number): Promise<DirectoryPlace | undefined> {
  if (endOffset < LOCATOR64_BYTES) return undefined;
  const locator = await readAt(archive, endOffset - LOCATOR64_BYTES, LOCATOR64_BYTES);
  if (locator.readUInt32LE(0) !== 0x07064b50) return undefined;
  const recordOffset = toNumber(archive, locator.readBigUInt64LE(8));
  if (recordOffset + END64_BYTES > endOffset) throw damaged(archive, 'has a zip64 record beyond its end');
  const record = await readAt(archive, recordOffset, END64_BYTES);
  if (record.readUInt32LE(0) !== 0x06064b50) throw damaged(archive, 'has no zip64 record where it should be');
  const [count, length, offset] = [32, 40, 48].map((field) => toNumber(archive, record.readBigUInt64LE(field)));
  return { count, length, offset };
}

function missing64(archive: ZipArchive): never {
  throw damaged(archive, 'is larger than its zip directory can say and has no zip64 record');
}

function parseEntry(archive: ZipArchive, name: string, fixed: Buffer, extra: Buffer): ZipEntry {
  let [storedBytes, sizeBytes, headerOffset] = [20, 24, 42].map((field) => fixed.readUInt32LE(field));
  // Field 0x0001 holds, in this order, only those numbers that did not fit.
  const wide = findExtra(extra, 0x0001);
  let at = 0;
  const widen = (value: number): number => {
    if (value !== 0xffffffff) return value;
    if (wide === undefined || at + 8 > wide.length) throw damaged(archive, `lacks the zip64 size of ${name}`);
    at += 8;
    return toNumber(archive, wide.readBigUInt64LE(at - 8));
  };
  sizeBytes = widen(sizeBytes);
  storedBytes = widen(storedBytes);
  headerOffset = widen(headerOffset);
  if (headerOffset + storedBytes > archive.bytes)
    throw damaged(archive, `has an entry ${name} that ends beyond the file`);
  return { name, method: fixed.readUInt16LE(10), crc32: fixed.readUInt32LE(16), storedBytes, sizeBytes, headerOffset };
}

function findExtra(extra: Buffer, id: number): Buffer | undefined {
  for (let at = 0; at + 4 <= extra.length; ) {
    const length = extra.readUInt16LE(at + 2);
    if (extra.readUInt16LE(at) === id) return extra.subarray(at + 4, at + 4 + length);
    at += 4 + length;
  }
  return undefined;
}

function toNumber(archive: ZipArchive, value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged(archive, `names the offset ${value}`);
  return Number(value);
}

async function readAt(archive: ZipArchive, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await archive.handle.read(bytes, done, length - done, position + done);
    if (bytesRead === 0) throw damaged(archive, `ended at byte ${position + done} while it was read`);
    done += bytesRead;
  }
  return bytes;
}

function damaged({ file, errorCode }: ZipArchive, what: string): SlipError {
  return new SlipError(errorCode, `${file} ${what}; it is damaged, get it again`);
}
