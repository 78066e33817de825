// Shapes and element types as the tracer sees them; not tensors.
import { invariant } from '@slip/core';

/** Element types that a step may use inside; its inputs and outputs are float32 or int32. */
export type DType = 'float32' | 'int32' | 'bool';

export type TypedArray = Float32Array | Int32Array | Uint8Array;

export interface TensorType {
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** Number of elements; 1 for a scalar. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((dim, axis) => dim === b[axis]);
}

/** Memory for a tensor: `bool` is one byte an element, as in tfjs and in ONNX. */
export function allocate(type: TensorType): TypedArray {
  const size = sizeOf(type.shape);
  if (type.dtype === 'float32') return new Float32Array(size);
  return type.dtype === 'int32' ? new Int32Array(size) : new Uint8Array(size);
}

/** The shape of an elementwise result under numpy's broadcasting rule. */
export function broadcastShape(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const left = a[a.length - rank + axis] ?? 1;
    const right = b[b.length - rank + axis] ?? 1;
    invariant(left === right || left === 1 || right === 1, `shapes [${a}] and [${b}] do not broadcast`);
    return left === 1 ? right : left;
  });
}

/** Axes as sorted non-negative numbers; nothing given means all. */
export function normalizeAxes(axes: number | readonly number[] | null | undefined, rank: number): number[] {
  if (axes === null || axes === undefined) return Array.from({ length: rank }, (_, axis) => axis);
  const list = typeof axes === 'number' ? [axes] : [...axes];
  return list.map((axis) => (axis < 0 ? axis + rank : axis)).sort((a, b) => a - b);
}
