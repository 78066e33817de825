// Reads records of an index file (index-layout.ts) by number. Nothing is held but the header: the page cache of the machine
// holds the rest, once for all processes and threads.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { SlipError } from '@slip/core';
import {
  decodePreamble,
  type IndexHeader,
  PREAMBLE_BYTES,
  RECORD_END,
  TABLE_ENTRY_BYTES,
  TEXT_END,
} from './index-layout.js';

/** Writers keep far below; a damaged table must not ask for more. */
const MAX_BLOCK_BYTES = 1 << 30;

export class IndexReader {
  readonly file: string;
  readonly header: IndexHeader;
  readonly #fd: number;
  readonly #entries = Buffer.alloc(2 * TABLE_ENTRY_BYTES);
  #block = Buffer.alloc(1 << 14);
  #blockBytes = 0;
  #blockNumber = -1;
  #open = true;

  private constructor(file: string, fd: number, header: IndexHeader) {
    this.file = file;
    this.#fd = fd;
    this.header = header;
  }

  /** Undefined when there is no such file, or none that this version wrote to its end. */
  static tryOpen(file: string): IndexReader | undefined {
    let fd: number;
    try {
      fd = openSync(file, 'r');
    } catch {
      return undefined;
    }
    const header = readHeader(fd);
    if (header !== undefined) return new IndexReader(file, fd, header);
    closeSync(fd);
    return undefined;
  }

  get count(): number {
    return this.header.count;
  }

  /**
   * @param index in [0, count)
   * @throws SlipError `data` when the file was damaged after it was written
   */
  read(index: number): string[] {
    const { recordsPerBlock, count } = this.header;
    if (!(index >= 0 && index < count)) throw new RangeError(`record ${index} of ${count}`);
    this.#load(Math.floor(index / recordsPerBlock));
    let at = 0;
    for (let skip = index % recordsPerBlock; skip > 0; skip--) at = this.#block.indexOf(RECORD_END, at) + 1;
    const end = this.#block.indexOf(RECORD_END, at);
    const texts: string[] = [];
    while (at < end) {
      const textEnd = this.#block.indexOf(TEXT_END, at);
      texts.push(this.#block.toString('utf8', at, textEnd));
      at = textEnd + 1;
    }
    return texts;
  }

  close(): void {
    if (this.#open) closeSync(this.#fd);
    this.#open = false;
  }

  #load(number: number): void {
    if (number === this.#blockNumber) return;
    this.#blockNumber = -1;
    const tableAt = this.header.tableOffset + number * TABLE_ENTRY_BYTES;
    if (!readFully(this.#fd, this.#entries, this.#entries.length, tableAt)) throw this.#damaged();
    const begin = this.#entries.readDoubleLE(0);
    const bytes = this.#entries.readDoubleLE(TABLE_ENTRY_BYTES) - begin;
    const isPlace = begin >= PREAMBLE_BYTES && bytes > 0 && begin + bytes <= this.header.tableOffset;
    const isWhole = Number.isSafeInteger(begin) && Number.isSafeInteger(bytes);
    if (!isPlace || !isWhole || bytes > MAX_BLOCK_BYTES) throw this.#damaged();
    if (bytes > this.#block.length) this.#block = Buffer.alloc(2 * bytes);
    if (!readFully(this.#fd, this.#block, bytes, begin)) throw this.#damaged();
    if (crc32(this.#block.subarray(0, bytes)) !== this.#entries.readUInt32LE(8)) throw this.#damaged();
    this.#blockBytes = bytes;
    this.#block.fill(RECORD_END, this.#blockBytes, Math.min(this.#block.length, bytes + 1));
    this.#blockNumber = number;
  }

  #damaged(): SlipError {
    return new SlipError('data', `the index ${this.file} is damaged; remove it and it is made again`);
  }
}

function readHeader(fd: number): IndexHeader | undefined {
  const fileBytes = fstatSync(fd).size;
  const start = Buffer.alloc(PREAMBLE_BYTES);
  const preamble = readFully(fd, start, PREAMBLE_BYTES, 0) ? decodePreamble(start) : undefined;
  if (preamble === undefined || preamble.headerOffset + preamble.headerBytes !== fileBytes) return undefined;
  const json = Buffer.alloc(preamble.headerBytes);
  if (!readFully(fd, json, json.length, preamble.headerOffset) || crc32(json) !== preamble.headerCrc) return undefined;
  return JSON.parse(json.toString('utf8')) as IndexHeader;
}

function readFully(fd: number, into: Buffer, bytes: number, position: number): boolean {
  for (let done = 0; done < bytes; ) {
    const read = readSync(fd, into, done, bytes - done, position + done);
    if (read === 0) return false;
    done += read;
  }
  return true;
}
