// Images inside zip archives. An archive's directory is read when its first image is wanted, or comes from an index of all
// directories (zip-index.ts); an archive that changed since is noticed and looked at again.
import type { FileHandle } from 'node:fs/promises';
import { crc32, inflateRawSync } from 'node:zlib';
import { readZipDirectory, type ZipEntry } from '@slip/core';
import { type ImageSource, MAX_IMAGE_BYTES, readRange, unreadable, withFile } from '../images/image-source.js';

/** By member name. */
export interface ZipDirectory {
  get(name: string): ZipEntry | undefined;
}

const LOCAL_BYTES = 30;
/** Room for what the local header may have beside the name. */
const EXTRA_GUESS = 64;
/** Directories kept in memory; in random order over many archives more would not help. */
const KEPT = 32;

export class ZipImages {
  readonly #known: (file: string) => ZipDirectory | undefined;
  readonly #kept = new Map<string, ZipDirectory>();

  /** @param known directories from an index */
  constructor(known: (file: string) => ZipDirectory | undefined = () => undefined) {
    this.#known = known;
  }

  image(file: string, member: string): ImageSource {
    const name = `${file}#${member}`;
    return { name, bytes: () => withFile(file, name, (handle) => this.#read(file, handle, member, name)) };
  }

  async #read(file: string, handle: FileHandle, member: string, name: string): Promise<Uint8Array> {
    const remembered = this.#kept.get(file) ?? this.#known(file);
    if (remembered !== undefined) {
      const bytes = await readMember(handle, remembered.get(member), name).catch(() => undefined);
      if (bytes !== undefined) return bytes;
    }
    const entries = await readEntries(file, handle);
    const directory = new Map(entries.map((entry) => [entry.name, entry]));
    this.#keep(file, directory);
    return readMember(handle, directory.get(member), name);
  }

  #keep(file: string, directory: ZipDirectory): void {
    if (this.#kept.size >= KEPT) this.#kept.delete(this.#kept.keys().next().value as string);
    this.#kept.set(file, directory);
  }
}

/** @throws SlipError `data` naming the archive */
export async function readEntries(file: string, handle: FileHandle): Promise<ZipEntry[]> {
  const { size: bytes } = await handle.stat();
  return readZipDirectory({ file, handle, bytes, errorCode: 'data' });
}

async function readMember(handle: FileHandle, entry: ZipEntry | undefined, name: string): Promise<Uint8Array> {
  if (entry === undefined) throw unreadable(name, 'the archive has no such member');
  const { method, storedBytes, sizeBytes } = entry;
  if (storedBytes > MAX_IMAGE_BYTES || sizeBytes > MAX_IMAGE_BYTES) {
    throw unreadable(name, `it has ${Math.max(storedBytes, sizeBytes)} bytes; at most ${MAX_IMAGE_BYTES} are read`);
  }
  if (method !== 0 && method !== 8)
    throw unreadable(name, `it is compressed by method ${method}; only 0 and 8 are read`);
  const stored = await readStored(handle, entry, name);
  const content = method === 0 ? stored : inflate(stored, sizeBytes, name);
  if (content.length !== sizeBytes || crc32(content) !== entry.crc32) {
    throw unreadable(name, 'its bytes do not have the checksum that the archive gives');
  }
  return content;
}

/** Header and data in one go: the header's length is only known from itself, but almost always as guessed. */
async function readStored(handle: FileHandle, entry: ZipEntry, name: string): Promise<Buffer> {
  const guess = Buffer.allocUnsafe(LOCAL_BYTES + Buffer.byteLength(entry.name) + EXTRA_GUESS + entry.storedBytes);
  const { bytesRead } = await handle.read(guess, 0, guess.length, entry.headerOffset);
  if (bytesRead < LOCAL_BYTES || guess.readUInt32LE(0) !== 0x04034b50) {
    throw unreadable(name, 'it does not begin where the archive says');
  }
  const nameEnd = LOCAL_BYTES + guess.readUInt16LE(26);
  if (guess.toString('utf8', LOCAL_BYTES, nameEnd) !== entry.name) {
    throw unreadable(name, 'another member is where the archive says');
  }
  const begin = nameEnd + guess.readUInt16LE(28);
  if (begin + entry.storedBytes <= bytesRead) return guess.subarray(begin, begin + entry.storedBytes);
  return readRange(handle, entry.headerOffset + begin, entry.storedBytes, name);
}

function inflate(stored: Buffer, sizeBytes: number, name: string): Buffer {
  try {
    return inflateRawSync(stored, { maxOutputLength: Math.max(1, sizeBytes) });
  } catch (error) {
    throw unreadable(name, `it cannot be unpacked: ${(error as Error).message}`, error);
  }
}
