// The members of a tar archive, and where their bytes are: ustar, GNU and PAX long names. Headers and what is near them are
// read, so a shard of gigabytes takes about one small read for each large member. Format: POSIX.1-2008 pax.
import type { FileHandle } from 'node:fs/promises';
import { SlipError } from '@slip/core';

export interface TarMember {
  readonly name: string;
  readonly begin: number;
  readonly length: number;
  /** What it holds. @throws SlipError `data` when it is longer than 1 MiB */
  content(): Promise<Buffer>;
}

const BLOCK = 512;
/** Long names and PAX records are far shorter. */
const MAX_SPECIAL_BYTES = 1 << 20;
/** Read at once: captions and the headers around them are close together. */
const WINDOW_BYTES = 1 << 15;

/** Regular files only. @throws SlipError `data` naming archive and byte when it is damaged or ends early */
export async function* tarMembers(file: string, handle: FileHandle): AsyncGenerator<TarMember> {
  const { size: fileBytes } = await handle.stat();
  const window = new Window(file, handle, fileBytes);
  let at = 0;
  let next: { name?: string; length?: number } = {};
  while (at < fileBytes) {
    const header = await window.read(at, BLOCK);
    if (header.every((byte) => byte === 0)) return;
    const length = next.length ?? number(file, header, 124, 12, at);
    checkHeader(file, header, at);
    const begin = at + BLOCK;
    if (begin + length > fileBytes) throw damaged(file, 'has a member that ends beyond the file', at);
    const type = String.fromCharCode(header[156]);
    if (type === 'L' || type === 'x') {
      const special = await window.read(begin, length);
      next = type === 'L' ? { ...next, name: cString(special) } : { ...next, ...paxRecords(file, special, begin) };
    } else {
      if (type === '0' || type === '\0' || type === '7') {
        const name = next.name ?? plainName(header);
        yield { name, begin, length, content: () => window.read(begin, length) };
      }
      next = {};
    }
    at = begin + Math.ceil(length / BLOCK) * BLOCK;
  }
  if (at > fileBytes && at - fileBytes >= BLOCK) throw damaged(file, 'ends in the middle of a member', fileBytes);
}

function checkHeader(file: string, header: Buffer, at: number): void {
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 0x20 : header[i];
  if (sum !== number(file, header, 148, 8, at)) throw damaged(file, 'has no tar header', at);
}

/** Octal, or, with the highest bit set, binary. */
function number(file: string, header: Buffer, begin: number, length: number, at: number): number {
  if (header[begin] & 0x80) {
    let value = header[begin] & 0x7f;
    for (let i = 1; i < length; i++) value = value * 256 + header[begin + i];
    return Number.isSafeInteger(value) ? value : fail(file, at);
  }
  const text = header
    .toString('latin1', begin, begin + length)
    .replace(/[\0 ]+$/, '')
    .trimStart();
  return /^[0-7]*$/.test(text) ? Number.parseInt(text || '0', 8) : fail(file, at);
}

function fail(file: string, at: number): never {
  throw damaged(file, 'has no tar header', at);
}

function plainName(header: Buffer): string {
  const name = cString(header.subarray(0, 100));
  const isUstar = header.toString('latin1', 257, 263) === 'ustar\0';
  const prefix = isUstar ? cString(header.subarray(345, 500)) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

function cString(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end);
}

/** `LENGTH key=value\n`, one after the other. */
function paxRecords(file: string, bytes: Buffer, at: number): { name?: string; length?: number } {
  const found: { name?: string; length?: number } = {};
  for (let begin = 0; begin < bytes.length && bytes[begin] !== 0; ) {
    const space = bytes.indexOf(0x20, begin);
    const length = Number(bytes.toString('latin1', begin, space));
    if (space < 0 || !Number.isInteger(length) || length < 5 || begin + length > bytes.length) fail(file, at);
    const [key, value] = splitOnce(bytes.toString('utf8', space + 1, begin + length - 1));
    if (key === 'path') found.name = value;
    if (key === 'size' && Number.isSafeInteger(Number(value)) && Number(value) >= 0) found.length = Number(value);
    begin += length;
  }
  return found;
}

function splitOnce(text: string): [string, string] {
  const at = text.indexOf('=');
  return [text.slice(0, at), text.slice(at + 1)];
}

class Window {
  readonly #file: string;
  readonly #handle: FileHandle;
  readonly #fileBytes: number;
  #bytes = Buffer.alloc(0);
  #begin = 0;

  constructor(file: string, handle: FileHandle, fileBytes: number) {
    this.#file = file;
    this.#handle = handle;
    this.#fileBytes = fileBytes;
  }

  /** The caller's own. */
  async read(begin: number, length: number): Promise<Buffer> {
    if (length > MAX_SPECIAL_BYTES) throw damaged(this.#file, `has a name or text of ${length} bytes`, begin);
    if (begin + length > this.#fileBytes) throw damaged(this.#file, 'ends early', this.#fileBytes);
    if (begin < this.#begin || begin + length > this.#begin + this.#bytes.length) await this.#move(begin, length);
    return Buffer.from(this.#bytes.subarray(begin - this.#begin, begin - this.#begin + length));
  }

  async #move(begin: number, length: number): Promise<void> {
    const bytes = Buffer.allocUnsafe(Math.min(Math.max(length, WINDOW_BYTES), this.#fileBytes - begin));
    for (let done = 0; done < bytes.length; ) {
      const { bytesRead } = await this.#handle.read(bytes, done, bytes.length - done, begin + done);
      if (bytesRead === 0) throw damaged(this.#file, 'ends early', begin + done);
      done += bytesRead;
    }
    this.#bytes = bytes;
    this.#begin = begin;
  }
}

function damaged(file: string, what: string, at: number): SlipError {
  return new SlipError('data', `${file} ${what}, at byte ${at}; it is damaged or no tar archive, get it again`);
}
