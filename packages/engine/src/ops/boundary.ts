// Marks where a network may be cut into blocks for activation checkpointing; computes nothing.
import { defineKernel, registerEagerKernel, runKernel } from '../kernels/kernel.js';
import type { tf } from '../tfjs.js';
import { withGradient } from './custom-gradient.js';

/**
 * `x` itself, of any shape. Where activations are checkpointed, this value is kept for the backward pass, and what lies between it
 * and the next boundary is computed again there: mark the input of each block and the output of the last.
 */
export function blockBoundary(x: tf.Tensor): tf.Tensor {
  return withGradient<[]>(
    [x],
    () => ({ value: runKernel('SlipBoundary', { x })[0]!, saved: [] }),
    (dy) => [dy],
  );
}

const boundary = defineKernel<object>({
  name: 'SlipBoundary',
  place: 'graph',
  inputs: ['x'],
  infer: ([x]) => [x!],
  lower: ({ inputs }) => [inputs[0]!.name],
});

export const BOUNDARY_KERNELS = [boundary];

registerEagerKernel<object>({ name: boundary.name, inputs: ['x'] }, ([x]) => [{ ...x!, values: x!.values.slice() }]);
