// Writes the kind of zip archive that PyTorch reads: stored entries whose data begins at multiples of 64 bytes, zip64
// where sizes or offsets need it. One pass; only checksums are filled in afterwards.
import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { invariant } from '@slip/core';

const ALIGNMENT = 64;
const LOCAL_BYTES = 30;
const FULL = 0xffffffff;
/** 1980-01-01, the earliest that zip knows, so that equal weights make equal files. */
const DOS_DATE = 0x0021;

interface WrittenEntry {
  readonly name: Buffer;
  readonly crc: number;
  readonly size: number;
  readonly offset: number;
}

export class ZipWriter {
  readonly #handle: FileHandle;
  readonly #entries: WrittenEntry[] = [];
  #position = 0;

  /** @param handle of an empty file; stays the caller's */
  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /**
   * @param size bytes that `chunks` will give in all
   * @throws the system's own error (ENOSPC, EIO, ...)
   */
  async add(
    name: string,
    size: number,
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    onBytes?: (bytes: number) => void,
  ): Promise<void> {
    const encoded = Buffer.from(name, 'utf8');
    const offset = this.#position;
    await this.#write(localHeader(encoded, size, offset));
    let crc = 0;
    let written = 0;
    for await (const piece of chunks) {
      crc = crc32(piece, crc);
      await this.#write(piece);
      written += piece.length;
      onBytes?.(piece.length);
    }
    invariant(written === size, `${name} has ${written} bytes instead of ${size}`);
    const checksum = Buffer.alloc(4);
    checksum.writeUInt32LE(crc);
    await this.#handle.write(checksum, 0, 4, offset + 14);
    this.#entries.push({ name: encoded, crc, size, offset });
  }

  /** Writes the directory. Returns the size of the file. */
  async finish(): Promise<number> {
    const start = this.#position;
    for (const entry of this.#entries) await this.#write(directoryEntry(entry));
    await this.#write(endRecords(this.#entries.length, this.#position - start, start));
    return this.#position;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, this.#position);
      done += bytesWritten;
      this.#position += bytesWritten;
    }
  }
}

/** Padded by a field `FB`, PyTorch's own, so that the data is aligned. */
function localHeader(name: Buffer, size: number, offset: number): Buffer {
  const wide = size >= FULL ? wideField([size, size]) : Buffer.alloc(0);
  const bare = offset + LOCAL_BYTES + name.length + wide.length + 4;
  const padding = Buffer.alloc(4 + ((ALIGNMENT - (bare % ALIGNMENT)) % ALIGNMENT), 'Z');
  padding.write('FB', 0, 'latin1');
  padding.writeUInt16LE(padding.length - 4, 2);
  const header = Buffer.alloc(LOCAL_BYTES);
  header.writeUInt32LE(0x04034b50, 0);
  header.writeUInt16LE(wide.length > 0 ? 45 : 20, 4);
  header.writeUInt16LE(0x0800, 6);
  header.writeUInt16LE(DOS_DATE, 12);
  header.writeUInt32LE(Math.min(size, FULL), 18);
  header.writeUInt32LE(Math.min(size, FULL), 22);
  header.writeUInt16LE(name.length, 26);
  header.writeUInt16LE(wide.length + padding.length, 28);
  return Buffer.concat([header, name, wide, padding]);
}

function directoryEntry({ name, crc, size, offset }: WrittenEntry): Buffer {
  const numbers = [...(size >= FULL ? [size, size] : []), ...(offset >= FULL ? [offset] : [])];
  const wide = numbers.length > 0 ? wideField(numbers) : Buffer.alloc(0);
  const header = Buffer.alloc(46);
  const version = wide.length > 0 ? 45 : 20;
  header.writeUInt32LE(0x02014b50, 0);
  header.writeUInt16LE(version, 4);
  header.writeUInt16LE(version, 6);
  header.writeUInt16LE(0x0800, 8);
  header.writeUInt16LE(DOS_DATE, 14);
  header.writeUInt32LE(crc, 16);
  header.writeUInt32LE(Math.min(size, FULL), 20);
  header.writeUInt32LE(Math.min(size, FULL), 24);
  header.writeUInt16LE(name.length, 28);
  header.writeUInt16LE(wide.length, 30);
  header.writeUInt32LE(Math.min(offset, FULL), 42);
  return Buffer.concat([header, name, wide]);
}

function endRecords(count: number, length: number, start: number): Buffer {
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(Math.min(count, 0xffff), 8);
  end.writeUInt16LE(Math.min(count, 0xffff), 10);
  end.writeUInt32LE(Math.min(length, FULL), 12);
  end.writeUInt32LE(Math.min(start, FULL), 16);
  if (count < 0xffff && length < FULL && start < FULL) return end;
  const record = Buffer.alloc(56);
  record.writeUInt32LE(0x06064b50, 0);
  record.writeBigUInt64LE(44n, 4);
  record.writeUInt16LE(45, 12);
  record.writeUInt16LE(45, 14);
  record.writeBigUInt64LE(BigInt(count), 24);
  record.writeBigUInt64LE(BigInt(count), 32);
  record.writeBigUInt64LE(BigInt(length), 40);
  record.writeBigUInt64LE(BigInt(start), 48);
  const locator = Buffer.alloc(20);
  locator.writeUInt32LE(0x07064b50, 0);
  locator.writeBigUInt64LE(BigInt(start + length), 8);
  locator.writeUInt32LE(1, 16);
  return Buffer.concat([record, locator, end]);
}

/** Extra field 0x0001. */
function wideField(numbers: readonly number[]): Buffer {
  const field = Buffer.alloc(4 + 8 * numbers.length);
  field.writeUInt16LE(0x0001, 0);
  field.writeUInt16LE(8 * numbers.length, 2);
  for (const [i, value] of numbers.entries()) field.writeBigUInt64LE(BigInt(value), 4 + 8 * i);
  return field;
}
