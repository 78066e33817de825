// Layer normalisation over the last axis with its backward; not batch normalisation.
import { defineKernel, type EagerTensor, registerEagerKernel, runKernel } from '../kernels/kernel.js';
import { sizeOf } from '../tensor-type.js';
import type { tf } from '../tfjs.js';
import { withGradient } from './custom-gradient.js';

/**
 * `(x - mean) / sqrt(variance + eps) * gamma + beta` over the last axis, with the biased variance.
 *
 * @param x [..., D] float32
 * @param gamma [D]
 * @param beta [D]
 */
export function layerNorm(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, eps: number): tf.Tensor {
  return withGradient<[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]>(
    [x, gamma, beta],
    () => {
      const [value, mean, inverseDeviation] = runKernel('SlipLayerNorm', { x, gamma, beta }, { eps });
      return { value: value!, saved: [x, gamma, mean!, inverseDeviation!] };
    },
    (dy, [x, gamma, mean, inverseDeviation]) =>
      runKernel('SlipLayerNormGrad', { dy, x, gamma, mean, inverseDeviation }, { eps }),
  );
}

const forward = defineKernel<{ eps: number }>({
  name: 'SlipLayerNorm',
  place: 'graph',
  inputs: ['x', 'gamma', 'beta'],
  infer: ([x]) => {
    const statistics = { shape: [...x!.shape.slice(0, -1), 1], dtype: x!.dtype };
    return [x!, statistics, statistics];
  },
  lower: ({ inputs, attrs, emit }) =>
    emit.ops('LayerNormalization', names(inputs), { axis: -1, epsilon: { float: attrs.eps } }, { outputs: 3 }),
});

const backward = defineKernel<{ eps: number }>({
  name: 'SlipLayerNormGrad',
  place: 'graph',
  inputs: ['dy', 'x', 'gamma', 'mean', 'inverseDeviation'],
  infer: ([, x, gamma]) => [x!, gamma!, gamma!],
  scratch: ([dy]) => 4 * sizeOf(dy!.shape),
  lower: ({ inputs, attrs, emit }) => {
    const [dy, x, gamma, , inverseDeviation] = names(inputs);
    const shape = inputs[1]!.shape;
    const width = shape[shape.length - 1]!;
    // Normalising again in one fused pass costs less than keeping or recomputing it from the statistics.
    const one = emit.constant(new Float32Array(width).fill(1), [width], 'float32');
    const zero = emit.constant(new Float32Array(width), [width], 'float32');
    const normalized = emit.op('LayerNormalization', [x!, one, zero], { axis: -1, epsilon: { float: attrs.eps } });
    const product = emit.op('Mul', [dy!, normalized]);
    // The means over a row of dy*gamma and dy*gamma*xhat are products with a vector.
    const gammaOverWidth = emit.op('Reshape', [
      emit.op('Mul', [gamma!, emit.scalar(1 / width)]),
      emit.ints([width, 1]),
    ]);
    const shift = emit.op('MatMul', [dy!, gammaOverWidth]);
    const slope = emit.op('MatMul', [product, gammaOverWidth]);
    const centered = emit.op('Sub', [emit.op('Mul', [dy!, gamma!]), shift]);
    const dx = emit.op('Mul', [emit.op('Sub', [centered, emit.op('Mul', [normalized, slope])]), inverseDeviation!]);
    const sumRows = (value: string) =>
      shape.length === 1 ? value : emit.sumRows(value, [sizeOf(shape) / width, width]);
    return [dx, sumRows(product), sumRows(dy!)];
  },
});

export const LAYER_NORM_KERNELS = [forward, backward];

registerEagerKernel<{ eps: number }>(
  { name: forward.name, inputs: ['x', 'gamma', 'beta'] },
  ([x, gamma, beta], attrs) => {
    const width = x!.shape[x!.shape.length - 1]!;
    const numRows = sizeOf(x!.shape) / width;
    const y = new Float32Array(x!.values.length);
    const means = new Float32Array(numRows);
    const inverses = new Float32Array(numRows);
    for (let row = 0; row < numRows; row++) {
      const start = row * width;
      let sum = 0;
      for (let i = 0; i < width; i++) sum += x!.values[start + i]!;
      const mean = sum / width;
      let squares = 0;
      for (let i = 0; i < width; i++) squares += (x!.values[start + i]! - mean) ** 2;
      const inverse = 1 / Math.sqrt(squares / width + attrs.eps);
      for (let i = 0; i < width; i++) {
        y[start + i] = (x!.values[start + i]! - mean) * inverse * gamma!.values[i]! + beta!.values[i]!;
      }
      means[row] = mean;
      inverses[row] = inverse;
    }
    const statistics = [...x!.shape.slice(0, -1), 1];
    return [like(x!, y), float(means, statistics), float(inverses, statistics)];
  },
);

registerEagerKernel<{ eps: number }>(
  { name: backward.name, inputs: ['dy', 'x', 'gamma', 'mean', 'inverseDeviation'] },
  ([dy, x, gamma, mean, inverseDeviation]) => {
    const width = x!.shape[x!.shape.length - 1]!;
    const numRows = sizeOf(x!.shape) / width;
    const dx = new Float32Array(x!.values.length);
    const dGamma = new Float64Array(width);
    const dBeta = new Float64Array(width);
    for (let row = 0; row < numRows; row++) {
      const start = row * width;
      const inverse = inverseDeviation!.values[row]!;
      const normalized = (i: number) => (x!.values[start + i]! - mean!.values[row]!) * inverse;
      let shift = 0;
      let slope = 0;
      for (let i = 0; i < width; i++) {
        const upstream = dy!.values[start + i]!;
        dBeta[i]! += upstream;
        dGamma[i]! += upstream * normalized(i);
        shift += (upstream * gamma!.values[i]!) / width;
        slope += (upstream * gamma!.values[i]! * normalized(i)) / width;
      }
      for (let i = 0; i < width; i++) {
        dx[start + i] = inverse * (dy!.values[start + i]! * gamma!.values[i]! - shift - normalized(i) * slope);
      }
    }
    return [like(x!, dx), like(gamma!, Float32Array.from(dGamma)), like(gamma!, Float32Array.from(dBeta))];
  },
);

const names = (operands: readonly { readonly name: string }[]): string[] => operands.map(({ name }) => name);
const like = (tensor: EagerTensor, values: Float32Array): EagerTensor => float(values, tensor.shape);
const float = (values: Float32Array, shape: readonly number[]): EagerTensor => ({ values, shape, dtype: 'float32' });
