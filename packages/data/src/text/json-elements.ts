// The elements of one long JSON array, one after the other, so that annotations of any size can be read. The array is the
// document itself or a member of it; the bytes of an element are found by counting brackets and then parsed on their own.
import { createReadStream } from 'node:fs';
import { SlipError } from '@slip/core';

/** An annotation has some hundred bytes. */
const MAX_ELEMENT_BYTES = 16 << 20;
const MAX_DEPTH = 64;
const PIECE_BYTES = 1 << 20;

const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

export interface JsonElement {
  readonly bytes: Buffer;
  /** Of its first byte in the file. */
  readonly offset: number;
}

/**
 * @param member name of the array where the document is an object; a document that is an array is taken as it is
 * @returns batches of elements, valid until the next batch is asked for
 * @throws SlipError `data` naming file and byte when it is no JSON, ends early or has no such array
 */
export async function* jsonElements(file: string, member: string): AsyncGenerator<JsonElement[]> {
  const scanner = new ElementScanner(file, member);
  try {
    for await (const piece of createReadStream(file, { highWaterMark: PIECE_BYTES })) {
      const elements = scanner.scan(piece as Buffer);
      if (elements.length > 0) yield elements;
    }
  } catch (error) {
    if (error instanceof SlipError) throw error;
    throw new SlipError('data', `${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  scanner.end();
}

/** @throws SlipError `data` naming file and byte */
export function parseElement(file: string, { bytes, offset }: JsonElement): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new SlipError('data', `${file}: ${(error as Error).message}, in the element at byte ${offset}`, {
      cause: error,
    });
  }
}

class ElementScanner {
  readonly #file: string;
  readonly #member: string;
  /** What of the last piece belongs to an unfinished element. */
  #rest: Buffer = Buffer.alloc(0);
  #restOffset = 0;
  /** Where scanning goes on in `#rest` plus the next piece. */
  #resume = 0;
  #depth = 0;
  #inText = false;
  /** Depth of the wanted array's elements; 0 until it is found. */
  #elementDepth = 0;
  #done = false;
  #start = -1;
  #key: string | undefined;
  #textStart = -1;
  #isFirst = true;

  constructor(file: string, member: string) {
    this.#file = file;
    this.#member = member;
  }

  scan(piece: Buffer): JsonElement[] {
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, piece]) : piece;
    const found: JsonElement[] = [];
    let at = this.#resume;
    while (at < bytes.length) at = this.#inText ? this.#skipText(bytes, at) : this.#step(bytes, at, found);
    this.#keep(bytes, at);
    return found;
  }

  end(): void {
    if (this.#isFirst) throw this.#wrong('is empty', 0);
    if (this.#depth > 0) throw this.#wrong('ends in the middle', this.#restOffset + this.#rest.length);
    if (this.#elementDepth === 0)
      throw new SlipError('data', `${this.#file} has no ${this.#member}: no list of that name`);
  }

  #step(bytes: Buffer, at: number, found: JsonElement[]): number {
    const byte = bytes[at];
    if (byte <= 0x20) return at + 1;
    if (this.#isFirst && !(byte === 0xef || byte === 0xbb || byte === 0xbf)) this.#first(byte, at);
    else if (this.#depth === 0 && !this.#isFirst) throw this.#wrong('goes on after its end', this.#restOffset + at);
    const inArray = this.#elementDepth > 0 && !this.#done;
    if (inArray && this.#start < 0 && this.#depth === this.#elementDepth && byte !== COMMA && byte !== CLOSE_LIST) {
      this.#start = at;
    }
    switch (byte) {
      case QUOTE:
        this.#inText = true;
        this.#textStart = at;
        return at + 1;
      case OPEN_LIST:
      case OPEN_OBJECT:
        this.#open(byte, at);
        break;
      case CLOSE_LIST:
      case CLOSE_OBJECT:
        if (inArray && this.#depth === this.#elementDepth) {
          this.#finish(bytes, at, found);
          this.#done = true;
        }
        this.#depth -= 1;
        if (this.#depth < 0) throw this.#wrong('closes a bracket that was never opened', this.#restOffset + at);
        break;
      case COMMA:
        if (inArray && this.#depth === this.#elementDepth) this.#finish(bytes, at, found);
        this.#key = undefined;
        break;
      case COLON:
        break;
    }
    return at + 1;
  }

  #first(byte: number, at: number): void {
    this.#isFirst = false;
    if (byte === OPEN_LIST || byte === OPEN_OBJECT) return;
    throw this.#wrong('is no JSON list or object', this.#restOffset + at);
  }

  #open(byte: number, at: number): void {
    const isWanted = this.#depth === 0 || (this.#depth === 1 && this.#key === this.#member);
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw this.#wrong(`is nested deeper than ${MAX_DEPTH}`, this.#restOffset + at);
    if (byte === OPEN_LIST && isWanted && this.#elementDepth === 0) this.#elementDepth = this.#depth;
  }

  #finish(bytes: Buffer, at: number, found: JsonElement[]): void {
    if (this.#start < 0) return;
    found.push({ bytes: bytes.subarray(this.#start, at), offset: this.#restOffset + this.#start });
    this.#start = -1;
  }

  #skipText(bytes: Buffer, from: number): number {
    let at = from;
    for (;;) {
      const quote = bytes.indexOf(QUOTE, at);
      if (quote < 0) return bytes.length;
      let escapes = 0;
      while (bytes[quote - 1 - escapes] === BACKSLASH && quote - 1 - escapes > this.#textStart) escapes += 1;
      at = quote + 1;
      if (escapes % 2 === 1) continue;
      this.#inText = false;
      if (this.#depth === 1 && this.#elementDepth === 0 && quote - this.#textStart < 100) {
        this.#key = bytes.toString('utf8', this.#textStart + 1, quote);
      }
      return at;
    }
  }

  #keep(bytes: Buffer, at: number): void {
    const needed = this.#start >= 0 ? this.#start : this.#inText ? this.#textStart : at;
    // A text outside the elements may be long, and of no interest: its end alone matters.
    const from = this.#start < 0 && bytes.length - needed > MAX_ELEMENT_BYTES ? bytes.length - 1 : needed;
    if (bytes.length - from > MAX_ELEMENT_BYTES) {
      throw this.#wrong(`has an element of more than ${MAX_ELEMENT_BYTES} bytes`, this.#restOffset + from);
    }
    this.#rest = bytes.subarray(from);
    this.#restOffset += from;
    this.#resume = at - from;
    if (this.#start >= 0) this.#start -= from;
    this.#textStart -= from;
  }

  #wrong(what: string, offset: number): SlipError {
    return new SlipError('data', `${this.#file} ${what}, at byte ${offset}`);
  }
}
