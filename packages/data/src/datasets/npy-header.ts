// The header of a .npy file: element type, shape, and where the data begin. Versions 1 to 3 are read.
import { type FileHandle, open } from 'node:fs/promises';
import { SlipError } from '@slip/core';

export interface NpyHeader {
  /** As numpy writes it, for example `|O` or `<i8`. */
  readonly descr: string;
  readonly shape: readonly number[];
  readonly fortranOrder: boolean;
  /** Bytes. */
  readonly dataOffset: number;
}

const MAGIC = '\x93NUMPY';
/** Headers of plain arrays have 118 bytes; those of records with many fields some thousand. */
const MAX_HEADER_BYTES = 1 << 20;

/** @throws SlipError `data` when the file cannot be read or is no .npy file */
export async function readNpyHeader(file: string): Promise<NpyHeader> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(file, 'r');
    return await parseHeader(file, handle);
  } catch (error) {
    if (error instanceof SlipError) throw error;
    throw new SlipError('data', `${file} cannot be read: ${(error as Error).message}`, { cause: error });
  } finally {
    await handle?.close();
  }
}

async function parseHeader(file: string, handle: FileHandle): Promise<NpyHeader> {
  const start = Buffer.alloc(12);
  const { bytesRead } = await handle.read(start, 0, 12, 0);
  if (bytesRead < 10 || start.toString('latin1', 0, 6) !== MAGIC) throw wrong(file, 'is no numpy file (.npy)');
  const version = start[6];
  if (version < 1 || version > 3) throw wrong(file, `has version ${version} of numpy's format; 1 to 3 are read`);
  const length = version === 1 ? start.readUInt16LE(8) : start.readUInt32LE(8);
  const headerOffset = version === 1 ? 10 : 12;
  if (length > MAX_HEADER_BYTES) throw wrong(file, `announces a header of ${length} bytes`);
  const bytes = Buffer.alloc(length);
  const { bytesRead: found } = await handle.read(bytes, 0, length, headerOffset);
  if (found < length) throw wrong(file, 'ends within its header');
  const text = bytes.toString(version === 3 ? 'utf8' : 'latin1');
  const descr = /'descr'\s*:\s*'([^']{1,40})'/.exec(text)?.[1];
  const fortran = /'fortran_order'\s*:\s*(True|False)/.exec(text)?.[1];
  const shape = /'shape'\s*:\s*\(([\d,\sL]{0,400})\)/.exec(text)?.[1];
  if (descr === undefined || fortran === undefined || shape === undefined) {
    throw wrong(file, `has the header ${JSON.stringify(text.trim().slice(0, 100))}, which is not understood`);
  }
  const sizes = shape.split(',').flatMap((size) => (size.trim() === '' ? [] : [Number.parseInt(size, 10)]));
  if (!sizes.every((size) => Number.isSafeInteger(size))) throw wrong(file, `has the shape (${shape})`);
  return { descr, shape: sizes, fortranOrder: fortran === 'True', dataOffset: headerOffset + length };
}

/** Of the headers that are written here. */
export const NPY_HEADER_BYTES = 128;

/** Version 1, row-major. */
export function encodeNpyHeader(descr: string, shape: readonly number[]): Buffer {
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const header = Buffer.alloc(NPY_HEADER_BYTES, ' ');
  header.write('\x93NUMPY\x01\0', 0, 'latin1');
  header.writeUInt16LE(NPY_HEADER_BYTES - 10, 8);
  header.write(`{'descr': '${descr}', 'fortran_order': False, 'shape': (${sizes}), }`, 10, 'latin1');
  header.write('\n', NPY_HEADER_BYTES - 1);
  return header;
}

function wrong(file: string, what: string): SlipError {
  return new SlipError('data', `${file} ${what}`);
}
