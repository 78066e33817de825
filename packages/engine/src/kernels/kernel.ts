// What a kernel is to the tracer and the executors; not a list of kernels (see `table.ts`).
import type { StepCollectives } from '../collectives.js';
import type { DType, TensorType, TypedArray } from '../tensor-type.js';
import { onTfjsLoaded, tf } from '../tfjs.js';

/** A value inside an ONNX graph under construction. */
export interface OnnxOperand extends TensorType {
  readonly name: string;
}

export type OnnxAttribute = number | readonly number[] | { readonly float: number } | { readonly string: string };

/** Writes ONNX nodes; equal nodes and constants are written once. Results are value names. */
export interface OnnxEmitter {
  op(type: string, inputs: readonly string[], attributes?: Readonly<Record<string, OnnxAttribute>>): string;
  /** As `op`, for several outputs or for operators of the `com.microsoft` domain. */
  ops(
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>>,
    options: { readonly outputs: number; readonly domain?: string },
  ): string[];
  /** `alpha * A x B` over the last two of `rank` axes, either of them transposed. */
  product(a: string, b: string, options: ProductOptions): string;
  /** `rows x matrix + bias` of [R, K] and [K, N] ([N, K] with `transB`): [R, N]. For many rows. */
  rowsProduct(
    rows: OnnxOperand,
    matrix: OnnxOperand,
    options?: { readonly transB?: boolean; readonly bias?: string },
  ): string;
  /** `A^T B` of [R, M] and [R, N], a sum over many rows: [M, N]. */
  sumOfOuterProducts(a: OnnxOperand, b: OnnxOperand): string;
  /** Sum over the rows of `x`, read as [rows, width]: [width]. Float32. */
  sumRows(x: string, size: readonly [number, number]): string;
  /** Along the last axis. */
  logSoftmax(x: string): string;
  /** A 1-D int64 constant (shapes, axes, splits). */
  ints(values: readonly number[]): string;
  scalar(value: number, dtype?: DType): string;
  constant(values: TypedArray, shape: readonly number[], dtype: DType): string;
}

/** Conversions inside a kernel that computes in halves, as names of values. */
export interface HalfLowering {
  /** A float32 value rounded to a half. */
  narrow(name: string): string;
  /** A half as float32. */
  widen(name: string): string;
  /** The result of an operator on halves, which is a half. */
  settle(name: string): string;
}

export interface ProductOptions {
  readonly rank: number;
  readonly transA?: boolean;
  readonly transB?: boolean;
  /** Default 1. */
  readonly alpha?: number;
}

export interface LoweringCall<Attrs> {
  readonly inputs: readonly OnnxOperand[];
  readonly outputs: readonly TensorType[];
  readonly attrs: Attrs;
  readonly emit: OnnxEmitter;
  /** Given where the kernel computes in halves; its operands and results are halves then. */
  readonly half?: HalfLowering;
}

interface KernelBase<Attrs> {
  /** The tfjs kernel name; kernels of our own start with `Slip`. */
  readonly name: string;
  /** tfjs' names of the tensor inputs in order (absent ones are left out), or `list` for an array of any length. */
  readonly inputs: readonly string[] | 'list';
  /** Shapes and element types of the results. */
  infer(inputs: readonly TensorType[], attrs: Attrs): readonly TensorType[];
  /** Elements of intermediate results while it runs, where those are more than its results. */
  scratch?(inputs: readonly TensorType[]): number;
}

/** Becomes ONNX nodes. */
export interface GraphKernel<Attrs = tf.NamedAttrMap> extends KernelBase<Attrs> {
  readonly place: 'graph';
  lower(call: LoweringCall<Attrs>): readonly string[];
}

/** Runs in JavaScript between two segments of the graph. */
export interface HostKernel<Attrs = tf.NamedAttrMap> extends KernelBase<Attrs> {
  readonly place: 'host';
  run(inputs: readonly TypedArray[], outputs: readonly TypedArray[], types: HostTypes, attrs: Attrs): void;
}

export interface HostTypes {
  readonly inputs: readonly TensorType[];
  readonly outputs: readonly TensorType[];
}

/** Talks to the other ranks between two segments of the graph. One input, one output, float32. */
export interface CollectiveKernel<Attrs = tf.NamedAttrMap> extends KernelBase<Attrs> {
  readonly place: 'wire';
  run(collectives: StepCollectives, input: Float32Array, output: Float32Array, attrs: Attrs): Promise<void>;
}

export type Kernel<Attrs = tf.NamedAttrMap> = GraphKernel<Attrs> | HostKernel<Attrs> | CollectiveKernel<Attrs>;

/** Forgets the type of a kernel's attributes: tfjs hands them over untyped, and each entry knows its own. */
export function defineKernel<Attrs>(kernel: Kernel<Attrs>): Kernel {
  return kernel as Kernel;
}

export interface EagerTensor extends TensorType {
  readonly values: TypedArray;
}

/**
 * Registers a plain-loop implementation of one of our kernels on tfjs' CPU backend: the reference that the ONNX lowering
 * is tested against, and what `createEagerExecutor` runs.
 */
export function registerEagerKernel<Attrs>(
  kernel: { readonly name: string; readonly inputs: readonly string[] },
  run: (inputs: readonly EagerTensor[], attrs: Attrs) => readonly EagerTensor[],
): void {
  onTfjsLoaded(() =>
    tf.registerKernel({
      kernelName: kernel.name,
      backendName: 'cpu',
      kernelFunc: ({ inputs, attrs, backend }) => {
        const storage = backend as tf.KernelBackend;
        const operands = kernel.inputs.flatMap((name) => {
          const info = inputs[name];
          if (info === undefined) return [];
          const values = storage.readSync(info.dataId) as TypedArray;
          return [{ values, shape: info.shape, dtype: info.dtype as DType }];
        });
        return run(operands, attrs as Attrs).map(({ values, shape, dtype }) => ({
          dataId: storage.write(values, [...shape], dtype),
          shape: [...shape],
          dtype,
        }));
      },
    }),
  );
}

/** Runs a kernel of ours on the current backend, traced or eager. */
export function runKernel(
  name: string,
  inputs: Readonly<Record<string, tf.Tensor>>,
  attrs: tf.NamedAttrMap = {},
): tf.Tensor[] {
  const result: tf.Tensor | tf.Tensor[] = tf.engine().runKernel(name, inputs, attrs);
  return Array.isArray(result) ? result : [result];
}
