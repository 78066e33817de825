// The affine map of a linear layer with its backward; weights are stored [out, in] as in PyTorch.
import { SlipError } from '@slip/core';
import { defineKernel, registerEagerKernel, runKernel } from '../kernels/kernel.js';
import { tf } from '../tfjs.js';
import { withGradient } from './custom-gradient.js';

/**
 * `x W^T + b` over the last axis.
 *
 * @param x [..., in] float32, any leading axes
 * @param weight [out, in]
 * @param bias [out], optional
 * @returns [..., out]
 * @throws SlipError `internal` when the widths differ
 */
export function linear(x: tf.Tensor, weight: tf.Tensor, bias?: tf.Tensor): tf.Tensor {
  const [outWidth, inWidth] = weight.shape as [number, number];
  const leading = x.shape.slice(0, -1);
  if (weight.rank !== 2 || x.shape[x.rank - 1] !== inWidth) {
    throw new SlipError('internal', `linear: input [${x.shape}] does not fit weight [${weight.shape}] (out, in)`);
  }
  const rows = tf.reshape(x, [-1, inWidth]);
  const y = withGradient<[tf.Tensor, tf.Tensor]>(
    bias === undefined ? [rows, weight] : [rows, weight, bias],
    () => {
      const [value] = runKernel('SlipLinear', bias === undefined ? { rows, weight } : { rows, weight, bias });
      return { value: value!, saved: [rows, weight] };
    },
    (dy, [rows, weight]) => {
      const gradients = [tf.matMul(dy, weight), tf.matMul(dy, rows, true, false)];
      return bias === undefined ? gradients : [...gradients, tf.sum(dy, 0)];
    },
  );
  return tf.reshape(y, [...leading, outWidth]);
}

const kernel = defineKernel<object>({
  name: 'SlipLinear',
  place: 'graph',
  inputs: ['rows', 'weight', 'bias'],
  infer: ([rows, weight]) => [{ shape: [rows!.shape[0]!, weight!.shape[0]!], dtype: 'float32' }],
  lower: ({ inputs, emit }) => [
    emit.op(
      'Gemm',
      inputs.map(({ name }) => name),
      { transB: 1 },
    ),
  ],
});

export const LINEAR_KERNELS = [kernel];

registerEagerKernel<object>({ name: kernel.name, inputs: ['rows', 'weight', 'bias'] }, ([rows, weight, bias]) => {
  const [numRows, inWidth] = rows!.shape as [number, number];
  const outWidth = weight!.shape[0]!;
  const y = new Float32Array(numRows * outWidth);
  for (let row = 0; row < numRows; row++) {
    for (let out = 0; out < outWidth; out++) {
      let sum = bias?.values[out] ?? 0;
      for (let i = 0; i < inWidth; i++) {
        sum += rows!.values[row * inWidth + i]! * weight!.values[out * inWidth + i]!;
      }
      y[row * outWidth + out] = sum;
    }
  }
  return [{ values: y, shape: [numRows, outWidth], dtype: 'float32' }];
});
