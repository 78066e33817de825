// Where the elements of a tensor are in a file, once it is known where its storage is.
import type { FileHandle } from 'node:fs/promises';
import { SlipError } from '@slip/core';
import { TORCH_ELEMENT_BYTES, type TorchTensor } from '@slip/pickle';
import { countElements, type ElementType, type StoredTensor, tensorInFile } from '../stored-tensor.js';
import { gatherStrided, isContiguous } from './strides.js';

/** A storage: first byte in the file, and how many there are. */
export interface StoragePlace {
  readonly begin: number;
  readonly bytes: number;
}

const TYPES: Readonly<Record<string, ElementType>> = {
  float64: 'F64',
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  int64: 'I64',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint8: 'U8',
  bool: 'BOOL',
};

/** @throws SlipError `checkpoint` when the file lacks or truncates the storage */
export function locateTensor(
  file: string,
  handle: FileHandle,
  name: string,
  { storage, offset, shape, strides }: TorchTensor,
  place: StoragePlace | undefined,
): StoredTensor {
  if (place === undefined) {
    throw new SlipError('checkpoint', `${file} has no data for ${name} (storage ${storage.key}); it is damaged`);
  }
  const width = TORCH_ELEMENT_BYTES[storage.dtype];
  if (place.bytes < storage.length * width) {
    throw new SlipError(
      'checkpoint',
      `${file} has ${place.bytes} bytes for the ${storage.length} elements of ${storage.dtype} of ${name}`,
    );
  }
  const description = { name, dtype: TYPES[storage.dtype], shape };
  if (countElements(shape) > storage.length) {
    throw new SlipError('checkpoint', `${name} in ${file} repeats its elements (an expanded view); save a copy of it`);
  }
  const begin = place.begin + offset * width;
  if (isContiguous(shape, strides)) {
    return tensorInFile(file, handle, description, begin, begin + countElements(shape) * width);
  }
  return gatherStrided(file, handle, description, begin, strides);
}
