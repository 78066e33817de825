// A tensor that is somewhere else, mostly in a file: its description, and its bytes in pieces when they are wanted. With it
// files of any size are converted in little memory.
import type { FileHandle } from 'node:fs/promises';
import { SlipError } from '@slip/core';

/** Bytes per element; the names are those of safetensors. */
export const ELEMENT_BYTES = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;

export type ElementType = keyof typeof ELEMENT_BYTES;

export interface StoredTensor {
  readonly name: string;
  readonly dtype: ElementType;
  readonly shape: readonly number[];
  readonly byteLength: number;
  /** Its elements in row-major order, little endian; pieces of at most a few MiB unless they had to be rearranged. */
  chunks(): AsyncIterable<Uint8Array>;
}

const PIECE_BYTES = 4 << 20;

export function countElements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** The part `[begin, end)` of an open file, which must stay open as long as the tensor is used. */
export function tensorInFile(
  file: string,
  handle: FileHandle,
  description: Pick<StoredTensor, 'name' | 'dtype' | 'shape'>,
  begin: number,
  end: number,
): StoredTensor {
  return {
    ...description,
    byteLength: end - begin,
    chunks: () => readRange(file, handle, begin, end),
  };
}

/** @param bytes borrowed; as many as shape and type say */
export function tensorInMemory(
  description: Pick<StoredTensor, 'name' | 'dtype' | 'shape'>,
  bytes: Uint8Array,
): StoredTensor {
  return {
    ...description,
    byteLength: bytes.length,
    async *chunks() {
      yield bytes;
    },
  };
}

export function float32Tensor(name: string, shape: readonly number[], values: Float32Array): StoredTensor {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return tensorInMemory({ name, dtype: 'F32', shape }, bytes);
}

export function renamed(tensor: StoredTensor, name: string): StoredTensor {
  return { ...tensor, name, chunks: () => tensor.chunks() };
}

/** The whole tensor, in memory of its own. */
export async function readWhole(tensor: StoredTensor): Promise<Uint8Array> {
  const bytes = new Uint8Array(tensor.byteLength);
  let done = 0;
  for await (const piece of tensor.chunks()) {
    bytes.set(piece, done);
    done += piece.length;
  }
  return bytes;
}

/** Pieces are the caller's until the next one is asked for. @throws SlipError `checkpoint` when the file is too short */
export async function* readRange(
  file: string,
  handle: FileHandle,
  begin: number,
  end: number,
): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(Math.min(PIECE_BYTES, end - begin));
  for (let position = begin; position < end; ) {
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, end - position), position);
    if (bytesRead === 0) throw new SlipError('checkpoint', `${file} ended at byte ${position} while it was read`);
    yield buffer.subarray(0, bytesRead);
    position += bytesRead;
  }
}
