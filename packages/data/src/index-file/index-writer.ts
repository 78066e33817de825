// Writes an index file (index-layout.ts) from records that come one after the other; nothing is kept but the table.
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { syncFolder } from '@slip/core';
import {
  encodePreamble,
  type IndexHeader,
  PREAMBLE_BYTES,
  RECORD_END,
  TABLE_ENTRY_BYTES,
  TEXT_END,
} from './index-layout.js';

const BUFFER_BYTES = 4 << 20;
const TABLE_CHUNK = 1 << 14;

export class IndexWriter {
  readonly #file: string;
  readonly #temporary: string;
  readonly #fd: number;
  readonly #recordsPerBlock: number;
  readonly #table: Buffer[] = [];
  #buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  #used = 0;
  /** Where the current block begins in the buffer. */
  #blockStart = 0;
  /** Bytes in the file. */
  #written = 0;
  #blocks = 0;
  #count = 0;
  #open = true;

  /** @throws the system's error when the folder cannot be written to */
  constructor(file: string, recordsPerBlock: number) {
    this.#file = file;
    this.#temporary = temporaryName(file);
    this.#recordsPerBlock = recordsPerBlock;
    this.#fd = openSync(this.#temporary, 'w');
    this.#used = PREAMBLE_BYTES;
    this.#blockStart = PREAMBLE_BYTES;
    this.#buffer.fill(0, 0, PREAMBLE_BYTES);
  }

  get count(): number {
    return this.#count;
  }

  add(record: readonly string[]): void {
    let room = 1;
    for (const text of record) room += 3 * text.length + 1;
    if (this.#used + room > this.#buffer.length) this.#makeRoom(room);
    for (const text of record) {
      this.#used += this.#buffer.write(text, this.#used);
      this.#buffer[this.#used++] = TEXT_END;
    }
    this.#buffer[this.#used++] = RECORD_END;
    this.#count += 1;
    if (this.#count % this.#recordsPerBlock === 0) this.#endBlock();
  }

  /** The file appears under its name, complete. */
  async finish(header: Pick<IndexHeader, 'kind' | 'sources'>): Promise<void> {
    if (this.#used > this.#blockStart) this.#endBlock();
    this.#tableEntry(0);
    this.#flush();
    const tableOffset = this.#written;
    for (const [i, chunk] of this.#table.entries()) {
      const isLast = i === this.#table.length - 1;
      this.#write(isLast ? chunk.subarray(0, (this.#blocks % TABLE_CHUNK || TABLE_CHUNK) * TABLE_ENTRY_BYTES) : chunk);
    }
    const content: IndexHeader = { ...header, count: this.#count, recordsPerBlock: this.#recordsPerBlock, tableOffset };
    const json = Buffer.from(JSON.stringify(content));
    const headerOffset = this.#written;
    this.#write(json);
    const preamble = encodePreamble({ headerOffset, headerBytes: json.length, headerCrc: crc32(json) });
    writeSync(this.#fd, preamble, 0, preamble.length, 0);
    fsyncSync(this.#fd);
    closeSync(this.#fd);
    this.#open = false;
    renameSync(this.#temporary, this.#file);
    await syncFolder(path.dirname(this.#file));
  }

  /** Leaves nothing behind. */
  abort(): void {
    if (this.#open) closeSync(this.#fd);
    this.#open = false;
    rmSync(this.#temporary, { force: true });
  }

  #endBlock(): void {
    this.#tableEntry(crc32(this.#buffer.subarray(this.#blockStart, this.#used)));
    this.#blockStart = this.#used;
  }

  #tableEntry(crc: number): void {
    if (this.#blocks % TABLE_CHUNK === 0) this.#table.push(Buffer.allocUnsafe(TABLE_CHUNK * TABLE_ENTRY_BYTES));
    const chunk = this.#table[this.#table.length - 1];
    const at = (this.#blocks % TABLE_CHUNK) * TABLE_ENTRY_BYTES;
    chunk.writeDoubleLE(this.#written + this.#blockStart, at);
    chunk.writeUInt32LE(crc, at + 8);
    this.#blocks += 1;
  }

  /** Whole blocks go to the file; the begun one moves to the front. */
  #makeRoom(bytes: number): void {
    this.#flush();
    if (this.#used + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(2 * (this.#used + bytes));
    this.#buffer.copy(larger, 0, 0, this.#used);
    this.#buffer = larger;
  }

  #flush(): void {
    this.#write(this.#buffer.subarray(0, this.#blockStart));
    this.#buffer.copy(this.#buffer, 0, this.#blockStart, this.#used);
    this.#used -= this.#blockStart;
    this.#blockStart = 0;
  }

  #write(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) done += writeSync(this.#fd, bytes, done, bytes.length - done);
    this.#written += bytes.length;
  }
}

/** Beside the file, so that renaming is atomic; `isLeftOver` knows it again. */
function temporaryName(file: string): string {
  return path.join(path.dirname(file), `.${path.basename(file)}.${process.pid}.tmp`);
}

export function isLeftOver(name: string, file: string): boolean {
  return name.startsWith(`.${path.basename(file)}.`) && name.endsWith('.tmp');
}
