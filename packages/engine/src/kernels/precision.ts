// Conversions between float32 and halves that mixed precision adds to a graph; written by the lowering, never by a model.
import { defineKernel, type Kernel } from './kernel.js';

export const PRECISION_KERNELS: readonly Kernel[] = [
  // Rounds to the nearest half, ties to even; too large becomes infinite.
  defineKernel<object>({
    name: 'SlipNarrow',
    place: 'graph',
    inputs: ['x'],
    infer: ([x]) => [x!],
    lower: ({ inputs, half }) => [half!.narrow(inputs[0]!.name)],
  }),
  defineKernel<object>({
    name: 'SlipWiden',
    place: 'graph',
    inputs: ['x'],
    infer: ([x]) => [x!],
    lower: ({ inputs }) => [inputs[0]!.name],
  }),
];
