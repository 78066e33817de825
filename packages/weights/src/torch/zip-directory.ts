// The directory of a zip archive, zip64 included: which entries there are and where their bytes are. Everything read from
// the file is checked against the file's size before it is believed. Format: PKWARE APPNOTE 4.3, 4.5.3.
import type { FileHandle } from 'node:fs/promises';
import { SlipError } from '@slip/core';

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
/** A checkpoint has some thousand entries; a directory beyond this is not one. */
const MAX_DIRECTORY_BYTES = 256 << 20;

/** @throws SlipError `checkpoint` when the file is truncated, damaged or no zip archive */
export async function readZipDirectory(file: string, handle: FileHandle, fileBytes: number): Promise<ZipEntry[]> {
  const { offset, length, count } = await findDirectory(file, handle, fileBytes);
  if (length > MAX_DIRECTORY_BYTES) throw damaged(file, `announces a directory of ${length} bytes`);
  if (offset + length > fileBytes) throw damaged(file, 'has a directory that ends beyond the file');
  const bytes = await readAt(file, handle, offset, length);
  const entries: ZipEntry[] = [];
  let at = 0;
  while (at + ENTRY_BYTES <= bytes.length && bytes.readUInt32LE(at) === 0x02014b50) {
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((field) => bytes.readUInt16LE(at + field));
    const next = at + ENTRY_BYTES + nameBytes + extraBytes + commentBytes;
    if (next > bytes.length) throw damaged(file, 'has a directory that is cut off');
    const name = bytes.toString('utf8', at + ENTRY_BYTES, at + ENTRY_BYTES + nameBytes);
    const extra = bytes.subarray(at + ENTRY_BYTES + nameBytes, at + ENTRY_BYTES + nameBytes + extraBytes);
    entries.push(parseEntry(file, name, bytes.subarray(at, at + ENTRY_BYTES), extra, fileBytes));
    at = next;
  }
  if (entries.length !== count) throw damaged(file, `has ${entries.length} entries, its directory says ${count}`);
  // Entries that share their bytes would make a small file an endless one.
  if (entries.reduce((sum, { storedBytes }) => sum + storedBytes, 0) > fileBytes) {
    throw damaged(file, 'has entries that overlap');
  }
  return entries;
}

/** Where an entry's bytes begin: names and extra fields of the local header may differ from the directory's. */
export async function locateData(
  file: string,
  handle: FileHandle,
  entry: ZipEntry,
  fileBytes: number,
): Promise<number> {
  if (entry.headerOffset + LOCAL_BYTES > fileBytes) throw damaged(file, `has an entry ${entry.name} beyond its end`);
  const header = await readAt(file, handle, entry.headerOffset, LOCAL_BYTES);
  if (header.readUInt32LE(0) !== 0x04034b50) throw damaged(file, `has no header where ${entry.name} should begin`);
  const begin = entry.headerOffset + LOCAL_BYTES + header.readUInt16LE(26) + header.readUInt16LE(28);
  if (begin + entry.storedBytes > fileBytes)
    throw damaged(file, `has an entry ${entry.name} that ends beyond the file`);
  return begin;
}

interface DirectoryPlace {
  readonly offset: number;
  readonly length: number;
  readonly count: number;
}

async function findDirectory(file: string, handle: FileHandle, fileBytes: number): Promise<DirectoryPlace> {
  const tailBytes = Math.min(fileBytes, END_BYTES + MAX_COMMENT_BYTES);
  const tailStart = fileBytes - tailBytes;
  const tail = await readAt(file, handle, tailStart, tailBytes);
  for (let at = tail.length - END_BYTES; at >= 0; at--) {
    if (tail.readUInt32LE(at) !== 0x06054b50 || at + END_BYTES + tail.readUInt16LE(at + 20) !== tail.length) continue;
    const place = {
      count: tail.readUInt16LE(at + 10),
      length: tail.readUInt32LE(at + 12),
      offset: tail.readUInt32LE(at + 16),
    };
    const saturated = place.count === 0xffff || place.length === 0xffffffff || place.offset === 0xffffffff;
    return (await findDirectory64(file, handle, tailStart + at)) ?? (saturated ? missing64(file) : place);
  }
  throw damaged(file, 'has no zip directory at its end, as happens when a copy or a download was cut off');
}

/** The zip64 record, where a locator stands right before the ordinary end record. */
async function findDirectory64(
  file: string,
  handle: FileHandle,
  endOffset: number,
): Promise<DirectoryPlace | undefined> {
  if (endOffset < LOCATOR64_BYTES) return undefined;
  const locator = await readAt(file, handle, endOffset - LOCATOR64_BYTES, LOCATOR64_BYTES);
  if (locator.readUInt32LE(0) !== 0x07064b50) return undefined;
  const recordOffset = toNumber(file, locator.readBigUInt64LE(8));
  if (recordOffset + END64_BYTES > endOffset) throw damaged(file, 'has a zip64 record beyond its end');
  const record = await readAt(file, handle, recordOffset, END64_BYTES);
  if (record.readUInt32LE(0) !== 0x06064b50) throw damaged(file, 'has no zip64 record where it should be');
  const [count, length, offset] = [32, 40, 48].map((field) => toNumber(file, record.readBigUInt64LE(field)));
  return { count, length, offset };
}

function missing64(file: string): never {
  throw damaged(file, 'is larger than its zip directory can say and has no zip64 record');
}

function parseEntry(file: string, name: string, fixed: Buffer, extra: Buffer, fileBytes: number): ZipEntry {
  let [storedBytes, sizeBytes, headerOffset] = [20, 24, 42].map((field) => fixed.readUInt32LE(field));
  // Field 0x0001 holds, in this order, only those numbers that did not fit.
  const wide = findExtra(extra, 0x0001);
  let at = 0;
  const widen = (value: number): number => {
    if (value !== 0xffffffff) return value;
    if (wide === undefined || at + 8 > wide.length) throw damaged(file, `lacks the zip64 size of ${name}`);
    at += 8;
    return toNumber(file, wide.readBigUInt64LE(at - 8));
  };
  sizeBytes = widen(sizeBytes);
  storedBytes = widen(storedBytes);
  headerOffset = widen(headerOffset);
  if (headerOffset + storedBytes > fileBytes) throw damaged(file, `has an entry ${name} that ends beyond the file`);
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

function toNumber(file: string, value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged(file, `names the offset ${value}`);
  return Number(value);
}

async function readAt(file: string, handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(bytes, done, length - done, position + done);
    if (bytesRead === 0) throw damaged(file, `ended at byte ${position + done} while it was read`);
    done += bytesRead;
  }
  return bytes;
}

function damaged(file: string, what: string): SlipError {
  return new SlipError('checkpoint', `${file} ${what}; it is damaged, get it again`);
}
