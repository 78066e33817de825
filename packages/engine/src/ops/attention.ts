// Scaled dot-product attention over given heads with its backward; not the projections around it.
import {
  defineKernel,
  type EagerTensor,
  type HalfLowering,
  type ProductOptions,
  registerEagerKernel,
  runKernel,
} from '../kernels/kernel.js';
import { sizeOf } from '../tensor-type.js';
import type { tf } from '../tfjs.js';
import { withGradient } from './custom-gradient.js';

interface Attributes {
  scale: number;
  causal: boolean;
}

/**
 * `softmax(q k^T / sqrt(hd)) v` for every head.
 *
 * @param q [B, H, N, hd] float32, as are `k` and `v`
 * @param options.causal position i attends to positions up to i only
 * @returns [B, H, N, hd]
 */
export function attention(q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, options: { readonly causal: boolean }): tf.Tensor {
  const attrs = { scale: q.shape[q.rank - 1]! ** -0.5, causal: options.causal };
  return withGradient<[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]>(
    [q, k, v],
    () => {
      const [value, weights] = runKernel('SlipAttention', { q, k, v }, attrs);
      return { value: value!, saved: [q, k, v, weights!, value!] };
    },
    (dy, [q, k, v, weights, y]) => runKernel('SlipAttentionGrad', { dy, q, k, v, weights, y }, attrs),
  );
}

/** Without halves there is nothing to convert. */
const same = (name: string) => name;
const FLOAT32: HalfLowering = { narrow: same, widen: same, settle: same };

const forward = defineKernel<Attributes>({
  name: 'SlipAttention',
  place: 'graph',
  inputs: ['q', 'k', 'v'],
  infer: ([q, k]) => [q!, { shape: [...q!.shape.slice(0, -1), k!.shape[k!.shape.length - 2]!], dtype: 'float32' }],
  lower: ({ inputs, outputs, attrs, emit, half = FLOAT32 }) => {
    const [q, k, v] = inputs.map(({ name }) => name);
    const [rows, columns] = outputs[1]!.shape.slice(-2) as [number, number];
    const product = emit.product(q!, k!, { rank: inputs[0]!.shape.length, transB: true, alpha: attrs.scale });
    const settled = half.widen(half.settle(product));
    const scores = attrs.causal
      ? emit.op('Add', [settled, emit.constant(causalMask(rows, columns), [rows, columns], 'float32')])
      : settled;
    const weights = half.narrow(emit.op('Softmax', [scores], { axis: -1 }));
    return [half.settle(emit.op('MatMul', [weights, v!])), weights];
  },
});

const backward = defineKernel<Attributes>({
  name: 'SlipAttentionGrad',
  place: 'graph',
  inputs: ['dy', 'q', 'k', 'v', 'weights', 'y'],
  infer: ([, q, k, v]) => [q!, k!, v!],
  scratch: ([, , , , weights]) => 3 * sizeOf(weights!.shape),
  lower: ({ inputs, attrs, emit, half = FLOAT32 }) => {
    const [dy, q, k, v, weights, y] = inputs.map(({ name }) => name);
    const rank = inputs[1]!.shape.length;
    const alpha = attrs.scale;
    const product = (a: string, b: string, options: Omit<ProductOptions, 'rank'>) =>
      half.settle(emit.product(a, b, { rank, ...options }));
    const dv = product(weights!, dy!, { transA: true });
    const dWeights = half.widen(product(dy!, v!, { transB: true }));
    // sum_j p_ij dp_ij equals dy_i . y_i, which is shorter to sum (hd instead of N). Masked weights are 0, and so is
    // their score gradient: no mask here.
    const rowDot = emit.op('ReduceSum', [emit.op('Mul', [half.widen(dy!), half.widen(y!)]), emit.ints([-1])], {
      keepdims: 1,
    });
    const dScores = half.narrow(emit.op('Mul', [half.widen(weights!), emit.op('Sub', [dWeights, rowDot])]));
    return [product(dScores, k!, { alpha }), product(dScores, q!, { alpha, transA: true }), dv];
  },
});

export const ATTENTION_KERNELS = [forward, backward];

/** Additive: minus infinity above the diagonal, 0 elsewhere. */
function causalMask(rows: number, columns: number): Float32Array {
  return Float32Array.from({ length: rows * columns }, (_, i) =>
    i % columns > Math.floor(i / columns) ? Number.NEGATIVE_INFINITY : 0,
  );
}

registerEagerKernel<Attributes>({ name: forward.name, inputs: ['q', 'k', 'v'] }, ([q, k, v], attrs) => {
  const [rows, width] = q!.shape.slice(-2) as [number, number];
  const columns = k!.shape[k!.shape.length - 2]!;
  const numHeads = q!.values.length / (rows * width);
  const y = new Float32Array(q!.values.length);
  const weights = new Float32Array(numHeads * rows * columns);
  for (let head = 0; head < numHeads; head++) {
    const keys = head * columns * width;
    for (let i = 0; i < rows; i++) {
      const query = (head * rows + i) * width;
      const visible = attrs.causal ? i + 1 : columns;
      const scores = Array.from(
        { length: visible },
        (_, j) => attrs.scale * dot(q!, query, k!, keys + j * width, width),
      );
      const highest = Math.max(...scores);
      const exponentials = scores.map((score) => Math.exp(score - highest));
      const total = exponentials.reduce((sum, value) => sum + value, 0);
      exponentials.forEach((value, j) => {
        weights[(head * rows + i) * columns + j] = value / total;
        for (let d = 0; d < width; d++) y[query + d]! += (value / total) * v!.values[keys + j * width + d]!;
      });
    }
  }
  return [tensor(y, q!.shape), tensor(weights, [...q!.shape.slice(0, -1), columns])];
});

registerEagerKernel<Attributes>(
  { name: backward.name, inputs: ['dy', 'q', 'k', 'v', 'weights'] },
  ([dy, q, k, v, weights], attrs) => {
    const [rows, width] = q!.shape.slice(-2) as [number, number];
    const columns = k!.shape[k!.shape.length - 2]!;
    const numHeads = q!.values.length / (rows * width);
    const [dq, dk, dv] = [q!, k!, v!].map(({ values }) => new Float32Array(values.length)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    for (let head = 0; head < numHeads; head++) {
      const keys = head * columns * width;
      for (let i = 0; i < rows; i++) {
        const query = (head * rows + i) * width;
        const weight = (j: number) => weights!.values[(head * rows + i) * columns + j]!;
        const dWeights = Array.from({ length: columns }, (_, j) => dot(dy!, query, v!, keys + j * width, width));
        const mean = dWeights.reduce((sum, value, j) => sum + value * weight(j), 0);
        dWeights.forEach((dWeight, j) => {
          const dScore = attrs.scale * weight(j) * (dWeight - mean);
          const key = keys + j * width;
          for (let d = 0; d < width; d++) {
            dq[query + d]! += dScore * k!.values[key + d]!;
            dk[key + d]! += dScore * q!.values[query + d]!;
            dv[key + d]! += weight(j) * dy!.values[query + d]!;
          }
        });
      }
    }
    return [tensor(dq, q!.shape), tensor(dk, k!.shape), tensor(dv, v!.shape)];
  },
);

function dot(a: EagerTensor, startA: number, b: EagerTensor, startB: number, width: number): number {
  let sum = 0;
  for (let i = 0; i < width; i++) sum += a.values[startA + i]! * b.values[startB + i]!;
  return sum;
}

function tensor(values: Float32Array, shape: readonly number[]): EagerTensor {
  return { values, shape, dtype: 'float32' };
}
