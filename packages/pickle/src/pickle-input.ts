// Bytes of a pickle, from memory or from a part of an open file in pieces, so that its size does not matter. Every
// announced length is compared with what is left before anything of that size is made.
import { readSync } from 'node:fs';
import { type ErrorCode, SlipError } from '@slip/core';

/** Names the pickle in errors, and says which code they have. */
export interface PickleOrigin {
  /** File, and entry inside it where there is one. */
  readonly file: string;
  /** `data` for the user's data sets, `checkpoint` for weights. */
  readonly errorCode: ErrorCode;
}

const PIECE_BYTES = 1 << 20;
const LOOK_BYTES = 1 << 12;
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class PickleInput {
  readonly origin: PickleOrigin;
  /** Bytes of the whole pickle. */
  readonly length: number;
  readonly #read: ((target: Uint8Array, position: number) => number) | undefined;
  readonly #pieceBytes: number;
  #piece: Buffer;
  #storage: Buffer | undefined;
  /** Where the piece begins in the pickle, and where we are in the piece. */
  #pieceStart = 0;
  #at = 0;

  private constructor(
    origin: PickleOrigin,
    length: number,
    piece: Uint8Array,
    read?: (target: Uint8Array, position: number) => number,
    pieceBytes = PIECE_BYTES,
  ) {
    this.origin = origin;
    this.length = length;
    this.#piece = Buffer.from(piece.buffer, piece.byteOffset, piece.length);
    this.#read = read;
    this.#pieceBytes = pieceBytes;
  }

  static fromBytes(bytes: Uint8Array, origin: PickleOrigin): PickleInput {
    return new PickleInput(origin, bytes.length, bytes);
  }

  /** @param begin,length the part of the open file that is the pickle, in bytes */
  static fromFile(fd: number, begin: number, length: number, origin: PickleOrigin): PickleInput {
    return new PickleInput(origin, length, new Uint8Array(0), (target, position) =>
      readSync(fd, target, 0, target.length, begin + position),
    );
  }

  /** The same pickle from `offset` on, for a short look; this input stays where it is. */
  at(offset: number): PickleInput {
    const isHeld = this.#read === undefined;
    const look = new PickleInput(
      this.origin,
      this.length,
      isHeld ? this.#piece : new Uint8Array(0),
      this.#read,
      LOOK_BYTES,
    );
    look.#pieceStart = isHeld ? 0 : offset;
    look.#at = isHeld ? offset : 0;
    return look;
  }

  /** Bytes consumed. */
  get offset(): number {
    return this.#pieceStart + this.#at;
  }

  get left(): number {
    return this.length - this.offset;
  }

  fail(what: string, offset = this.offset): never {
    const { file, errorCode } = this.origin;
    throw new SlipError(errorCode, `${file}: ${what}, at byte ${offset} of the pickle`, { details: { file, offset } });
  }

  byte(): number {
    if (this.#at >= this.#piece.length) this.#refill(1);
    return this.#piece[this.#at++];
  }

  /** The next `count` bytes, valid until the next call. */
  view(count: number): Uint8Array {
    if (this.#at + count > this.#piece.length) this.#refill(count);
    this.#at += count;
    return this.#piece.subarray(this.#at - count, this.#at);
  }

  /** The next `count` bytes as the caller's own. */
  bytes(count: number): Uint8Array {
    return new Uint8Array(this.view(count));
  }

  /** Little endian, 1 to 6 bytes. */
  uint(bytes: number): number {
    if (this.#at + bytes > this.#piece.length) this.#refill(bytes);
    this.#at += bytes;
    let value = 0;
    for (let i = 1; i <= bytes; i++) value = value * 256 + this.#piece[this.#at - i];
    return value;
  }

  int32(): number {
    return this.uint(4) | 0;
  }

  /** Eight bytes, as a length. */
  length64(): number {
    const low = this.uint(4);
    const high = this.uint(4);
    const value = high * 2 ** 32 + low;
    if (!Number.isSafeInteger(value)) this.fail('announces a length beyond all files', this.offset - 8);
    return value;
  }

  float64(): number {
    const view = this.view(8);
    return new DataView(view.buffer, view.byteOffset, 8).getFloat64(0, false);
  }

  text(count: number): string {
    const start = this.offset;
    if (this.#at + count > this.#piece.length) this.#refill(count);
    const from = this.#at;
    this.#at += count;
    const text = this.#piece.toString('utf8', from, this.#at);
    // What cannot be decoded became this character; only text that has it need be looked at again.
    if (!text.includes('\ufffd')) return text;
    const bytes = this.#piece.subarray(from, this.#at);
    try {
      return decoder.decode(bytes);
    } catch {
      // Python writes lone surrogates as three bytes each, which no UTF-8 decoder accepts.
      return decodeWithSurrogates(bytes) ?? this.fail('holds text that is not UTF-8', start);
    }
  }

  latin1(count: number): string {
    return Buffer.from(this.view(count)).toString('latin1');
  }

  /** Up to and including the next line feed, which is not returned. */
  line(): string {
    const start = this.offset;
    let text = '';
    for (;;) {
      if (this.#at >= this.#piece.length) {
        if (this.left === 0) this.fail('ends in the middle of a line', start);
        this.#refill(1);
      }
      const end = this.#piece.indexOf(0x0a, this.#at);
      const stop = end < 0 ? this.#piece.length : end;
      text += Buffer.from(this.#piece.subarray(this.#at, stop)).toString('latin1');
      this.#at = stop;
      if (end >= 0) {
        this.#at++;
        return text;
      }
    }
  }

  /** The memory of earlier pieces serves again; nobody holds a part of them for longer than a call. */
  #room(bytes: number): Buffer {
    if (bytes > this.#pieceBytes) return Buffer.allocUnsafeSlow(bytes);
    this.#storage ??= Buffer.allocUnsafeSlow(this.#pieceBytes);
    return this.#storage.subarray(0, bytes);
  }

  /** Makes `count` bytes from here available in the piece. */
  #refill(count: number): void {
    const offset = this.offset;
    if (count > this.length - offset) {
      this.fail(`needs ${count} more bytes but only ${this.length - offset} are left; it is truncated or damaged`);
    }
    const piece = this.#room(Math.min(Math.max(count, this.#pieceBytes), this.length - offset));
    for (let done = 0; done < piece.length; ) {
      const bytes = this.#read?.(piece.subarray(done), offset + done) ?? 0;
      if (bytes === 0) this.fail('could not be read further: the file became shorter', offset + done);
      done += bytes;
    }
    this.#piece = piece;
    this.#pieceStart = offset;
    this.#at = 0;
  }
}

function decodeWithSurrogates(bytes: Uint8Array): string | undefined {
  let text = '';
  let from = 0;
  try {
    for (let i = 0; i + 2 < bytes.length; i++) {
      if (bytes[i] !== 0xed || bytes[i + 1] < 0xa0) continue;
      text += decoder.decode(bytes.subarray(from, i));
      text += String.fromCharCode(0xd000 | ((bytes[i + 1] & 0x3f) << 6) | (bytes[i + 2] & 0x3f));
      i += 2;
      from = i + 1;
    }
    return text + decoder.decode(bytes.subarray(from));
  } catch {
    return undefined;
  }
}
