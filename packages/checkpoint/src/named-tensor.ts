// The shape in which tensors enter and leave files. Knows no files and no models.

/** Element types that this project computes with; a file may hold others, see `SafetensorsEntry.dtype`. */
export type TensorDtype = 'F32' | 'I64';

export type TensorArray = Float32Array | BigInt64Array;

export interface NamedTensor {
  /** Unique within a file, at most a few hundred characters. */
  readonly name: string;
  readonly dtype: TensorDtype;
  /** Row-major; `[]` is a scalar, a zero makes the tensor empty. */
  readonly shape: readonly number[];
  /** As many elements as `shape` says; borrowed: must not change until the call that got it has resolved. */
  readonly data: TensorArray;
}

/** A tensor that is read while it is written, so that it need not be in memory; a file may hold types we cannot compute with. */
export interface StreamedTensor {
  readonly name: string;
  /** One of the format's names, such as `F32`, `BF16`. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** What `chunks` gives in all. */
  readonly byteLength: number;
  /** Row-major, little endian. */
  chunks(): AsyncIterable<Uint8Array>;
}

export type WritableTensor = NamedTensor | StreamedTensor;

export function byteLengthOf(tensor: WritableTensor): number {
  return 'data' in tensor ? tensor.data.byteLength : tensor.byteLength;
}

/** Number of elements; may exceed what an array can hold when `shape` comes from a file. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** The bytes of `[begin, end)` of a tensor's memory, without a copy. */
export function bytesOf(data: TensorArray, begin = 0, end = data.byteLength): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset + begin, end - begin);
}
