// Table lookup with a dense, deterministic gradient; not a sparse embedding.

import { ONNX_TYPES } from '../kernels/elementwise.js';
import type { EagerTensor } from '../kernels/kernel.js';
import { defineKernel, type OnnxOperand, registerEagerKernel, runKernel } from '../kernels/kernel.js';
import { sizeOf, type TypedArray } from '../tensor-type.js';
import { tf } from '../tfjs.js';
import { withGradient } from './custom-gradient.js';

/**
 * Rows of a table.
 *
 * @param table [V, W] float32
 * @param ids [B, L] int32, each in [0, V)
 * @returns [B, L, W]; the gradient is a dense [V, W], summed in the order of `ids`
 */
export function embedding(table: tf.Tensor, ids: tf.Tensor): tf.Tensor {
  const [numRows, width] = table.shape as [number, number];
  return withGradient<[tf.Tensor]>(
    [table],
    () => ({ value: tf.gather(table, tf.cast(ids, 'int32')), saved: [ids] }),
    (dy, [ids]) =>
      runKernel('SlipScatterRows', { dy: tf.reshape(dy, [-1, width]), ids: tf.reshape(ids, [-1]) }, { numRows }),
  );
}

/**
 * Runs on the host: ORT's ScatterElements needs int64 indices as large as `dy` and a table of zeros to copy, and its
 * ScatterND races on repeated ids; a loop of B*L row additions needs neither.
 */
const scatter = defineKernel<{ numRows: number }>({
  name: 'SlipScatterRows',
  place: 'host',
  inputs: ['dy', 'ids'],
  infer: ([dy], { numRows }) => [{ shape: [numRows, dy!.shape[1]!], dtype: 'float32' }],
  run: ([dy, ids], [table], types) => scatterRows(dy!, ids!, table!, types.inputs[0]!.shape[1]!),
});

export const EMBEDDING_KERNELS = [scatter];

/** Elements of a comparison of ids with ids that exist at a time: 64 MiB. */
const MAX_COMPARED = 1 << 24;

/**
 * On a device: every row of `dy` becomes the sum of all rows of its id by a product with the matrix of equal ids, and is then
 * written to the table. Rows of one id write the same numbers, so their order does not matter, and sums are those of a product:
 * the same bits every time, which adding in place on a GPU does not give.
 */
const scatterOnDevice = defineKernel<{ numRows: number }>({
  name: scatter.name,
  place: 'graph',
  inputs: scatter.inputs,
  infer: (inputs, attrs) => scatter.infer(inputs, attrs),
  lower: ({ inputs, outputs, emit }) => {
    const [dy, ids] = inputs as [OnnxOperand, OnnxOperand];
    const numIds = sizeOf(ids.shape);
    const chunk = Math.max(1, Math.floor(MAX_COMPARED / numIds));
    const sums: string[] = [];
    for (let start = 0; start < numIds; start += chunk) {
      const end = Math.min(numIds, start + chunk);
      const part =
        end - start === numIds ? ids.name : emit.op('Slice', [ids.name, emit.ints([start]), emit.ints([end])]);
      const column = emit.op('Reshape', [part, emit.ints([end - start, 1])]);
      const isEqual = emit.op('Equal', [column, emit.op('Reshape', [ids.name, emit.ints([1, numIds])])]);
      sums.push(emit.op('MatMul', [emit.op('Cast', [isEqual], { to: ONNX_TYPES.float32 }), dy.name]));
    }
    const rows = sums.length === 1 ? sums[0]! : emit.op('Concat', sums, { axis: 0 });
    const places = emit.op('Cast', [emit.op('Reshape', [ids.name, emit.ints([numIds, 1])])], { to: ONNX_TYPES.int64 });
    const empty = emit.op('Expand', [emit.scalar(0), emit.ints(outputs[0]!.shape)]);
    return [emit.op('ScatterND', [empty, places, rows])];
  },
});

export const DEVICE_EMBEDDING_KERNELS = [scatterOnDevice];

registerEagerKernel<{ numRows: number }>({ name: scatter.name, inputs: ['dy', 'ids'] }, ([dy, ids], { numRows }) => {
  const width = dy!.shape[1]!;
  const table: EagerTensor = { values: new Float32Array(numRows * width), shape: [numRows, width], dtype: 'float32' };
  scatterRows(dy!.values, ids!.values, table.values, width);
  return [table];
});

function scatterRows(dy: TypedArray, ids: TypedArray, table: TypedArray, width: number): void {
  table.fill(0);
  for (let row = 0; row < ids.length; row++) {
    const from = row * width;
    const to = ids[row]! * width;
    for (let i = 0; i < width; i++) table[to + i]! += dy[from + i]!;
  }
}
