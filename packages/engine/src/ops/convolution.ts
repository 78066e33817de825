// Two-dimensional convolution with its gradients, in PyTorch's layouts; square kernels, no bias, no dilation, no groups.
import { SlipError } from '@slip/core';
import { defineKernel, type EagerTensor, type OnnxEmitter, registerEagerKernel, runKernel } from '../kernels/kernel.js';
import type { tf } from '../tfjs.js';
import { withGradient } from './custom-gradient.js';

interface Attributes {
  stride: number;
  padding: number;
}

/** Attributes of the gradient of the input, whose size the gradient of the output does not tell. */
interface InputGradAttributes extends Attributes {
  size: number;
}

interface FilterGradAttributes extends Attributes {
  kernel: number;
}

/**
 * @param x [B, C, S, S] float32
 * @param weight [out, C, k, k]
 * @returns [B, out, T, T] with T = floor((S + 2 padding - k) / stride) + 1
 * @throws SlipError `internal` when the shapes do not fit
 */
export function conv2d(x: tf.Tensor, weight: tf.Tensor, options: { stride: number; padding: number }): tf.Tensor {
  const [, channels, height, width] = x.shape;
  const [, inputs, kernel, kernelWidth] = weight.shape;
  if (x.rank !== 4 || weight.rank !== 4 || channels !== inputs || height !== width || kernel !== kernelWidth) {
    throw new SlipError(
      'internal',
      `conv2d: input [${x.shape}] does not fit weight [${weight.shape}]; both are square`,
    );
  }
  const attrs = { stride: options.stride, padding: options.padding };
  return withGradient<[tf.Tensor, tf.Tensor]>(
    [x, weight],
    () => ({ value: runKernel('SlipConv', { x, weight }, attrs)[0]!, saved: [x, weight] }),
    (dy, [x, weight]) => [
      runKernel('SlipConvInputGrad', { dy, weight }, { ...attrs, size: x.shape[2]! })[0]!,
      runKernel('SlipConvFilterGrad', { dy, x }, { ...attrs, kernel: weight.shape[2]! })[0]!,
    ],
  );
}

function outputSize(size: number, kernel: number, { stride, padding }: Attributes): number {
  return Math.floor((size + 2 * padding - kernel) / stride) + 1;
}

const forward = defineKernel<Attributes>({
  name: 'SlipConv',
  place: 'graph',
  inputs: ['x', 'weight'],
  infer: ([x, weight], attrs) => {
    const size = outputSize(x!.shape[2]!, weight!.shape[2]!, attrs);
    return [{ shape: [x!.shape[0]!, weight!.shape[0]!, size, size], dtype: 'float32' }];
  },
  lower: ({ inputs, attrs: { stride, padding }, emit }) => {
    const [x, weight] = inputs;
    const k = weight!.shape[2]!;
    const pads = [padding, padding, padding, padding];
    return [emit.op('Conv', [x!.name, weight!.name], { strides: [stride, stride], pads, kernel_shape: [k, k] })];
  },
});

const inputGrad = defineKernel<InputGradAttributes>({
  name: 'SlipConvInputGrad',
  place: 'graph',
  inputs: ['dy', 'weight'],
  infer: ([dy, weight], { size }) => [{ shape: [dy!.shape[0]!, weight!.shape[1]!, size, size], dtype: 'float32' }],
  lower: ({ inputs, attrs: { stride, padding, size }, emit }) => {
    const [dy, weight] = inputs;
    const k = weight!.shape[2]!;
    const rest = size - ((dy!.shape[2]! - 1) * stride + k - 2 * padding);
    return [
      emit.op('ConvTranspose', [dy!.name, weight!.name], {
        strides: [stride, stride],
        pads: [padding, padding, padding, padding],
        kernel_shape: [k, k],
        output_padding: [rest, rest],
      }),
    ];
  },
});

/** One product over all rows and places for each element of the kernel: a convolution with so large a kernel is slower. */
const filterGrad = defineKernel<FilterGradAttributes>({
  name: 'SlipConvFilterGrad',
  place: 'graph',
  inputs: ['dy', 'x'],
  infer: ([dy, x], { kernel }) => [{ shape: [dy!.shape[1]!, x!.shape[1]!, kernel, kernel], dtype: 'float32' }],
  lower: ({ inputs, attrs: { stride, padding, kernel }, emit }) => {
    const [dy, x] = inputs;
    const [, out, size] = dy!.shape as [number, number, number];
    const channels = x!.shape[1]!;
    const columns = channelsFirst(emit, dy!.name, out);
    const around = emit.ints([0, 0, padding, padding, 0, 0, padding, padding]);
    const padded = padding === 0 ? x!.name : emit.op('Pad', [x!.name, around]);
    const elements: string[] = [];
    for (let place = 0; place < kernel * kernel; place++) {
      const start = [Math.floor(place / kernel), place % kernel];
      const end = start.map((first) => first + (size - 1) * stride + 1);
      const window = emit.op('Slice', [padded, ...[start, end, [2, 3], [stride, stride]].map((v) => emit.ints(v))]);
      const product = emit.op('Gemm', [columns, channelsFirst(emit, window, channels)], { transB: 1 });
      elements.push(emit.op('Reshape', [product, emit.ints([out, channels, 1])]));
    }
    const all = elements.length === 1 ? elements[0]! : emit.op('Concat', elements, { axis: 2 });
    return [emit.op('Reshape', [all, emit.ints([out, channels, kernel, kernel])])];
  },
});

/** [B, C, T, T] to [C, B T T]. */
function channelsFirst(emit: OnnxEmitter, name: string, channels: number): string {
  const moved = emit.op('Transpose', [name], { perm: [1, 0, 2, 3] });
  return emit.op('Reshape', [moved, emit.ints([channels, -1])]);
}

export const CONVOLUTION_KERNELS = [forward, inputGrad, filterGrad];

/** Calls `visit` with the flat indices of input, weight and output of every product of a convolution. */
function everyProduct(
  [batch, channels, size]: readonly number[],
  [out, , kernel]: readonly number[],
  attrs: Attributes,
  visit: (x: number, weight: number, y: number) => void,
): void {
  const [c, s, o, k] = [channels!, size!, out!, kernel!];
  const t = outputSize(s, k, attrs);
  for (let b = 0; b < batch!; b++)
    for (let to = 0; to < o; to++)
      for (let y = 0; y < t; y++)
        for (let x = 0; x < t; x++)
          for (let from = 0; from < c; from++)
            for (let i = 0; i < k; i++)
              for (let j = 0; j < k; j++) {
                const row = y * attrs.stride + i - attrs.padding;
                const column = x * attrs.stride + j - attrs.padding;
                if (row < 0 || row >= s || column < 0 || column >= s) continue;
                const input = ((b * c + from) * s + row) * s + column;
                visit(input, ((to * c + from) * k + i) * k + j, ((b * o + to) * t + y) * t + x);
              }
}

registerEagerKernel<Attributes>({ name: forward.name, inputs: ['x', 'weight'] }, ([x, weight], attrs) => {
  const size = outputSize(x!.shape[2]!, weight!.shape[2]!, attrs);
  const y = zeros([x!.shape[0]!, weight!.shape[0]!, size, size]);
  everyProduct(x!.shape, weight!.shape, attrs, (i, j, k) => {
    y.values[k]! += x!.values[i]! * weight!.values[j]!;
  });
  return [y];
});

registerEagerKernel<InputGradAttributes>({ name: inputGrad.name, inputs: ['dy', 'weight'] }, ([dy, weight], attrs) => {
  const dx = zeros([dy!.shape[0]!, weight!.shape[1]!, attrs.size, attrs.size]);
  everyProduct(dx.shape, weight!.shape, attrs, (i, j, k) => {
    dx.values[i]! += dy!.values[k]! * weight!.values[j]!;
  });
  return [dx];
});

registerEagerKernel<FilterGradAttributes>({ name: filterGrad.name, inputs: ['dy', 'x'] }, ([dy, x], attrs) => {
  const dw = zeros([dy!.shape[1]!, x!.shape[1]!, attrs.kernel, attrs.kernel]);
  everyProduct(x!.shape, dw.shape, attrs, (i, j, k) => {
    dw.values[j]! += dy!.values[k]! * x!.values[i]!;
  });
  return [dw];
});

function zeros(shape: readonly number[]): EagerTensor {
  return { values: new Float32Array(shape.reduce((size, dim) => size * dim, 1)), shape, dtype: 'float32' };
}
