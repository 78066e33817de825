// Table lookup with a dense, deterministic gradient; not a sparse embedding.
import type { EagerTensor } from '../kernels/kernel.js';
import { defineKernel, registerEagerKernel, runKernel } from '../kernels/kernel.js';
import type { TypedArray } from '../tensor-type.js';
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
