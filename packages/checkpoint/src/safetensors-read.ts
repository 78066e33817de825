// Reads safetensors files: the header alone, or the tensors straight into memory that the caller owns.
import { type FileHandle, open } from 'node:fs/promises';
import { SlipError } from '@slip/core';
import { type Part, readFully } from './hashed-read.js';
import { bytesOf, type TensorArray } from './named-tensor.js';
import {
  LENGTH_BYTES,
  parseHeader,
  parseHeaderLength,
  type SafetensorsEntry,
  type SafetensorsHeader,
} from './safetensors-header.js';

/**
 * Says where a tensor goes: an array of the same type and element count, or undefined to skip it.
 * @param dtype the format's name; only `F32` and `I64` can be read, others can be skipped
 */
export type TensorResolver = (name: string, dtype: string, shape: readonly number[]) => TensorArray | undefined;

/** @throws SlipError `checkpoint` when the header is missing, damaged or does not describe the file */
export async function readSafetensorsHeader(file: string): Promise<SafetensorsHeader> {
  return withFile(file, (handle) => readHeader(file, handle));
}

/**
 * Fills the arrays that `resolve` names, in the order of the data in the file.
 * @throws SlipError `checkpoint` for a damaged file, an array that does not fit, a type that cannot be read; what
 *   `resolve` throws passes through. Arrays may be partly filled then.
 */
export async function readSafetensorsInto(file: string, resolve: TensorResolver): Promise<void> {
  await withFile(file, async (handle) => {
    const header = await readHeader(file, handle);
    for (const entry of header.tensors) {
      const target = resolve(entry.name, entry.dtype, entry.shape);
      if (target === undefined) continue;
      checkTarget(file, entry, target);
      await readFully(file, handle, bytesOf(target), entry.begin);
    }
  });
}

/**
 * Where the bytes of a file go from its start to its end, for a reader that has to see all of them.
 * @throws SlipError `checkpoint` for an array that does not fit or a type that cannot be read; what `resolve` throws
 */
export function partsOfFile(file: string, { tensors, fileBytes }: SafetensorsHeader, resolve: TensorResolver): Part[] {
  const data = tensors.map((entry): Part => {
    const target = resolve(entry.name, entry.dtype, entry.shape);
    if (target === undefined) return { skip: entry.end - entry.begin };
    checkTarget(file, entry, target);
    return bytesOf(target);
  });
  return [{ skip: tensors.at(0)?.begin ?? fileBytes }, ...data];
}

async function withFile<T>(file: string, use: (handle: FileHandle) => Promise<T>): Promise<T> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    throw new SlipError('checkpoint', `cannot open ${file}: ${(error as Error).message}`, { cause: error });
  }
  try {
    return await use(handle);
  } finally {
    await handle.close();
  }
}

async function readHeader(file: string, handle: FileHandle): Promise<SafetensorsHeader> {
  const { size } = await handle.stat();
  const lengthBytes = new Uint8Array(Math.min(LENGTH_BYTES, size));
  await readFully(file, handle, lengthBytes, 0);
  const json = new Uint8Array(parseHeaderLength(file, lengthBytes, size));
  await readFully(file, handle, json, LENGTH_BYTES);
  return parseHeader(file, json, size);
}

function checkTarget(file: string, { name, dtype, shape, begin, end }: SafetensorsEntry, target: TensorArray): void {
  if (dtype !== 'F32' && dtype !== 'I64') {
    throw new SlipError(
      'checkpoint',
      `${name} in ${file} is ${dtype}; only F32 and I64 can be read, convert the file first`,
    );
  }
  const kind = target instanceof Float32Array ? 'F32' : 'I64';
  if (kind !== dtype || target.byteLength !== end - begin) {
    throw new SlipError(
      'checkpoint',
      `${name} in ${file} is ${dtype} [${shape}], it was to be read into ${target.length} elements of ${kind}`,
    );
  }
}
