// The file that a set's records are kept in, for any number of processes to read by position:
//   preamble (64 bytes) | blocks of records | table of blocks | header (JSON)
// A record is a list of texts, each ended by 0xFF, and is itself ended by 0xFE; neither byte occurs in UTF-8. The table has 12
// bytes for each block, its offset and its CRC-32, and one closing entry. Whatever is read is checked first.
import { crc32 } from 'node:zlib';
import type { SourceState } from './source-state.js';

export const PREAMBLE_BYTES = 64;
export const TABLE_ENTRY_BYTES = 12;
export const TEXT_END = 0xff;
export const RECORD_END = 0xfe;
/** Raised when the layout or what readers put into it changes; older files are made anew. */
const VERSION = 1;
const MAGIC = 'slipidx\n';

export interface IndexHeader {
  /** What the records are, for example `yfcc15m`. */
  readonly kind: string;
  readonly count: number;
  readonly recordsPerBlock: number;
  readonly tableOffset: number;
  /** Files and folders that it was made from, as they were then. */
  readonly sources: readonly SourceState[];
}

export interface Preamble {
  readonly headerOffset: number;
  readonly headerBytes: number;
  readonly headerCrc: number;
}

export function encodePreamble({ headerOffset, headerBytes, headerCrc }: Preamble): Buffer {
  const bytes = Buffer.alloc(PREAMBLE_BYTES);
  bytes.write(MAGIC, 0, 'latin1');
  bytes.writeUInt32LE(VERSION, 8);
  bytes.writeDoubleLE(headerOffset, 16);
  bytes.writeDoubleLE(headerBytes, 24);
  bytes.writeUInt32LE(headerCrc, 32);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, PREAMBLE_BYTES - 4)), PREAMBLE_BYTES - 4);
  return bytes;
}

/** Undefined for anything but an undamaged preamble of this version. */
export function decodePreamble(bytes: Buffer): Preamble | undefined {
  const isOurs =
    bytes.length === PREAMBLE_BYTES &&
    bytes.toString('latin1', 0, 8) === MAGIC &&
    bytes.readUInt32LE(8) === VERSION &&
    bytes.readUInt32LE(PREAMBLE_BYTES - 4) === crc32(bytes.subarray(0, PREAMBLE_BYTES - 4));
  if (!isOurs) return undefined;
  return {
    headerOffset: bytes.readDoubleLE(16),
    headerBytes: bytes.readDoubleLE(24),
    headerCrc: bytes.readUInt32LE(32),
  };
}
