// The differentiable collectives of a step and the topology they are traced for; not the communication itself.
import { invariant, SlipError } from '@slip/core';
import { defineKernel, runKernel } from './kernels/kernel.js';
import { withGradient, withoutGradient } from './ops/custom-gradient.js';
import type { tf } from './tfjs.js';

/** Where a step runs: `rank` in [0, worldSize). */
export interface Topology {
  readonly rank: number;
  readonly worldSize: number;
}

/**
 * What an executor needs from the process group. Every rank calls them in the same order. Buffers are borrowed for the
 * time of the call; sums are float32 in rank order.
 */
export interface StepCollectives {
  /** `output` is `input` of every rank in rank order: `worldSize * input.length` elements. */
  allGather(input: Float32Array, output: Float32Array): Promise<void>;
  /** `output` is this rank's equal part of the elementwise sum: `input.length / worldSize` elements. */
  reduceScatter(input: Float32Array, output: Float32Array): Promise<void>;
  /** The elementwise sum, in place. */
  allReduce(buffer: Float32Array): Promise<void>;
}

const SINGLE_RANK: Topology = { rank: 0, worldSize: 1 };
let current = SINGLE_RANK;

/** The topology that collectives and rank-dependent constants of the step are made for. */
export function topology(): Topology {
  return current;
}

/**
 * Runs `fn` for a rank of a world; `{rank: 0, worldSize: 1}` without it.
 *
 * @throws SlipError `config` when `rank` is not an integer in [0, worldSize)
 */
export function withTopology<T>(value: Topology, fn: () => T): T {
  const { rank, worldSize } = value;
  if (!Number.isInteger(worldSize) || worldSize < 1 || !Number.isInteger(rank) || rank < 0 || rank >= worldSize) {
    throw new SlipError('config', `rank ${rank} of world size ${worldSize}: rank must be in [0, worldSize)`);
  }
  const previous = current;
  current = { rank, worldSize };
  try {
    return fn();
  } finally {
    current = previous;
  }
}

/**
 * Gathers the rows of every rank, in rank order.
 *
 * @param x [B, D] float32, the same shape on every rank
 * @param options.gradient `full`: the incoming gradients of all ranks are summed and each rank takes its own rows; `none`:
 *   the result is a constant, the own block included. At world size 1 both are `x` itself with its gradient.
 * @returns [worldSize * B, D]
 */
export function allGather(x: tf.Tensor, options: { readonly gradient: 'full' | 'none' }): tf.Tensor {
  if (current.worldSize === 1) return x;
  if (options.gradient === 'none') return withoutGradient(() => gatherRows(x));
  return withGradient(
    [x],
    () => ({ value: gatherRows(x), saved: [] }),
    (dy) => runKernel('SlipReduceScatter', { x: dy }, { worldSize: current.worldSize }),
  );
}

/**
 * Sums a tensor over all ranks; the gradient is summed over all ranks too.
 *
 * @param x any shape, float32, the same on every rank
 */
export function allReduceSum(x: tf.Tensor): tf.Tensor {
  if (current.worldSize === 1) return x;
  return withGradient(
    [x],
    () => ({ value: sumOverRanks(x), saved: [] }),
    (dy) => [sumOverRanks(dy)],
  );
}

/** `allGather` without a gradient of its own, for use inside other ops. */
export function gatherRows(x: tf.Tensor): tf.Tensor {
  return current.worldSize === 1 ? x : single(runKernel('SlipAllGather', { x }, { worldSize: current.worldSize }));
}

/** `allReduceSum` without a gradient of its own, for use inside other ops. */
export function sumOverRanks(x: tf.Tensor): tf.Tensor {
  return current.worldSize === 1 ? x : single(runKernel('SlipAllReduce', { x }));
}

/** The kernels behind the collectives. They have no eager implementation: eager steps run at world size 1. */
export const COLLECTIVE_KERNELS = [
  defineKernel<{ worldSize: number }>({
    name: 'SlipAllGather',
    place: 'wire',
    inputs: ['x'],
    infer: ([x], { worldSize }) => [{ shape: [x!.shape[0]! * worldSize, ...x!.shape.slice(1)], dtype: x!.dtype }],
    run: (collectives, input, output) => collectives.allGather(input, output),
  }),
  defineKernel<{ worldSize: number }>({
    name: 'SlipReduceScatter',
    place: 'wire',
    inputs: ['x'],
    infer: ([x], { worldSize }) => [{ shape: [x!.shape[0]! / worldSize, ...x!.shape.slice(1)], dtype: x!.dtype }],
    run: (collectives, input, output) => collectives.reduceScatter(input, output),
  }),
  defineKernel<object>({
    name: 'SlipAllReduce',
    place: 'wire',
    inputs: ['x'],
    infer: ([x]) => [x!],
    run: (collectives, input, output) => {
      // The sum before and after may both be in use, so the reduction happens in the result's memory.
      output.set(input);
      return collectives.allReduce(output);
    },
  }),
];

function single(tensors: readonly tf.Tensor[]): tf.Tensor {
  const [tensor] = tensors;
  invariant(tensor !== undefined, 'the kernel has a result');
  return tensor;
}
