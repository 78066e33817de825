// The first rows of a table, the gradient with rows of zeros behind. tf.slice is left out of a graph where it takes all rows, and steps
// that differ in the number of rows only must have the same nodes.
import { defineKernel, type EagerTensor, registerEagerKernel, runKernel } from '../kernels/kernel.js';
import type { tf } from '../tfjs.js';
import { withGradient } from './custom-gradient.js';

/**
 * @param table [V, W] float32
 * @param count at most V
 * @returns [count, W]
 */
export function firstRows(table: tf.Tensor, count: number): tf.Tensor {
  const numRows = table.shape[0]!;
  return withGradient<[]>(
    [table],
    () => ({ value: runKernel('SlipFirstRows', { x: table }, { count })[0]!, saved: [] }),
    (dy) => runKernel('SlipPadRows', { dy }, { numRows }),
  );
}

const forward = defineKernel<{ count: number }>({
  name: 'SlipFirstRows',
  place: 'graph',
  inputs: ['x'],
  infer: ([x], { count }) => [{ shape: [count, x!.shape[1]!], dtype: 'float32' }],
  lower: ({ inputs, attrs, emit }) => [
    emit.op('Slice', [inputs[0]!.name, emit.ints([0]), emit.ints([attrs.count]), emit.ints([0])]),
  ],
});

const backward = defineKernel<{ numRows: number }>({
  name: 'SlipPadRows',
  place: 'graph',
  inputs: ['dy'],
  infer: ([dy], { numRows }) => [{ shape: [numRows, dy!.shape[1]!], dtype: 'float32' }],
  lower: ({ inputs, attrs, emit }) => {
    const after = attrs.numRows - inputs[0]!.shape[0]!;
    return [emit.op('Pad', [inputs[0]!.name, emit.ints([0, 0, after, 0]), emit.scalar(0)])];
  },
});

export const ROW_KERNELS = [forward, backward];

/** The rows of `x`, cut off or followed by zeros. */
function withRows({ values, shape }: EagerTensor, rows: number): EagerTensor {
  const width = shape[1]!;
  const result = new Float32Array(rows * width);
  result.set((values as Float32Array).subarray(0, result.length));
  return { values: result, shape: [rows, width], dtype: 'float32' };
}

registerEagerKernel<{ count: number }>({ name: forward.name, inputs: ['x'] }, ([x], { count }) => [
  withRows(x!, count),
]);
registerEagerKernel<{ numRows: number }>({ name: backward.name, inputs: ['dy'] }, ([dy], { numRows }) => [
  withRows(dy!, numRows),
]);
