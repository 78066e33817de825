// The affine map of a linear layer with its backward; weights are stored [out, in] as in PyTorch.
import { SlipError } from '@slip/core';
import { defineKernel, registerEagerKernel, runKernel } from '../kernels/kernel.js';
import { sizeOf } from '../tensor-type.js';
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
  // Then there are many rows. Not by their number: steps of all lengths have the same nodes.
  const isSequence = x.rank > 2;
  const rows = tf.reshape(x, [-1, inWidth]);
  const y = withGradient<[tf.Tensor, tf.Tensor]>(
    bias === undefined ? [rows, weight] : [rows, weight, bias],
    () => {
      const [value] = runKernel('SlipLinear', bias === undefined ? { rows, weight } : { rows, weight, bias });
      return { value: value!, saved: [rows, weight] };
    },
    (dy, [rows, weight]) => {
      const ofWeight = isSequence
        ? runKernel('SlipLinearWeightGrad', { dy, rows })[0]!
        : tf.matMul(dy, rows, true, false);
      const gradients = [tf.matMul(dy, weight), ofWeight];
      return bias === undefined ? gradients : [...gradients, tf.sum(dy, 0)];
    },
  );
  return tf.reshape(y, [...leading, outWidth]);
}

const forward = defineKernel<object>({
  name: 'SlipLinear',
  place: 'graph',
  inputs: ['rows', 'weight', 'bias'],
  infer: ([rows, weight]) => [{ shape: [rows!.shape[0]!, weight!.shape[0]!], dtype: 'float32' }],
  lower: ({ inputs: [rows, weight, bias], emit }) => [
    emit.rowsProduct(rows!, weight!, { transB: true, ...(bias === undefined ? {} : { bias: bias.name }) }),
  ],
});

/** `dy^T rows` of [R, out] and [R, in]: a product of its own because R is large. */
const weightGrad = defineKernel<object>({
  name: 'SlipLinearWeightGrad',
  place: 'graph',
  inputs: ['dy', 'rows'],
  infer: ([dy, rows]) => [{ shape: [dy!.shape[1]!, rows!.shape[1]!], dtype: 'float32' }],
  scratch: (inputs) => Math.min(...inputs.map(({ shape }) => sizeOf(shape))),
  lower: ({ inputs: [dy, rows], emit }) => [emit.sumOfOuterProducts(dy!, rows!)],
});

export const LINEAR_KERNELS = [forward, weightGrad];

registerEagerKernel<object>({ name: weightGrad.name, inputs: ['dy', 'rows'] }, ([dy, rows]) => {
  const [numRows, outWidth] = dy!.shape as [number, number];
  const inWidth = rows!.shape[1]!;
  const gradient = new Float32Array(outWidth * inWidth);
  for (let row = 0; row < numRows; row++) {
    for (let out = 0; out < outWidth; out++) {
      const slope = dy!.values[row * outWidth + out]!;
      for (let i = 0; i < inWidth; i++) gradient[out * inWidth + i]! += slope * rows!.values[row * inWidth + i]!;
    }
  }
  return [{ values: gradient, shape: [outWidth, inWidth], dtype: 'float32' }];
});

registerEagerKernel<object>({ name: forward.name, inputs: ['rows', 'weight', 'bias'] }, ([rows, weight, bias]) => {
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
