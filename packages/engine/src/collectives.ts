// The differentiable collectives of a step and the topology they are traced for; not the communication itself.
import { invariant, SlipError } from '@slip/core';
import { defineKernel, runKernel } from './kernels/kernel.js';
import { withGradient, withoutGradient } from './ops/custom-gradient.js';
import type { tf } from './tfjs.js';

/** Where a step runs: `rank` in [0, worldSize). */
export interface Topology {
  readonly rank: number;
  readonly worldSize: number;
  /** Rows of a micro-batch on each rank, at least 1; without it, all ranks have as many as this one. */
  readonly rows?: readonly number[];
}

/**
 * What an executor needs from the process group. Every rank calls them in the same order. Buffers are borrowed for the
 * time of the call; sums are float32 in rank order. Parts of the ranks are equal, or as long as `lengths` says.
 */
export interface StepCollectives {
  /** `output` is `input` of every rank in rank order. */
  allGather(input: Float32Array, output: Float32Array, lengths?: readonly number[]): Promise<void>;
  /** `output` is this rank's part of the elementwise sum. */
  reduceScatter(input: Float32Array, output: Float32Array, lengths?: readonly number[]): Promise<void>;
  /** The elementwise sum, in place. */
  allReduce(buffer: Float32Array): Promise<void>;
}

const SINGLE_RANK: Topology = { rank: 0, worldSize: 1 };
let current = SINGLE_RANK;

/** The topology that collectives and rank-dependent constants of the step are made for. */
export function topology(): Topology {
  return current;
}

/** Rows of each rank for a step in which this one has `localRows`. */
export function rowsOfRanks(localRows: number): readonly number[] {
  const { rank, worldSize, rows } = current;
  if (rows === undefined) return new Array<number>(worldSize).fill(localRows);
  invariant(
    rows[rank] === localRows,
    `rank ${rank} was traced with ${localRows} rows, its topology says ${rows[rank]}`,
  );
  return rows;
}

/**
 * Runs `fn` for a rank of a world; `{rank: 0, worldSize: 1}` without it.
 *
 * @throws SlipError `config` when `rank` is not an integer in [0, worldSize), or a rank has no row
 */
export function withTopology<T>(value: Topology, fn: () => T): T {
  const { rank, worldSize, rows } = value;
  if (!Number.isInteger(worldSize) || worldSize < 1 || !Number.isInteger(rank) || rank < 0 || rank >= worldSize) {
    throw new SlipError('config', `rank ${rank} of world size ${worldSize}: rank must be in [0, worldSize)`);
  }
  if (
    rows !== undefined &&
    (rows.length !== worldSize || !rows.every((count) => Number.isInteger(count) && count > 0))
  ) {
    throw new SlipError('config', `rows [${rows}] for world size ${worldSize}: every rank needs at least one row`);
  }
  const previous = current;
  current = { rank, worldSize, ...(rows === undefined ? {} : { rows }) };
  try {
    return fn();
  } finally {
    current = previous;
  }
}

/**
 * Gathers the rows of every rank, in rank order.
 *
 * @param x [B, D] float32, D the same on every rank, B as the topology has it
 * @param options.gradient `full`: the incoming gradients of all ranks are summed and each rank takes its own rows; `none`:
 *   the result is a constant, the own block included. At world size 1 both are `x` itself with its gradient.
 * @returns [rows of all ranks, D]
 */
export function allGather(x: tf.Tensor, options: { readonly gradient: 'full' | 'none' }): tf.Tensor {
  if (current.worldSize === 1) return x;
  const rows = rowsOfRanks(x.shape[0]!);
  if (options.gradient === 'none') return withoutGradient(() => gatherRows(x, rows));
  return withGradient(
    [x],
    () => ({ value: gatherRows(x, rows), saved: [] }),
    (dy) => runKernel('SlipReduceScatter', { x: dy }, { rows: [...rows], rank: current.rank }),
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

/** `allGather` without a gradient of its own, for use inside other ops. @param rows of each rank */
export function gatherRows(x: tf.Tensor, rows: readonly number[]): tf.Tensor {
  return current.worldSize === 1 ? x : single(runKernel('SlipAllGather', { x }, { rows: [...rows] }));
}

/** `allReduceSum` without a gradient of its own, for use inside other ops. */
export function sumOverRanks(x: tf.Tensor): tf.Tensor {
  return current.worldSize === 1 ? x : single(runKernel('SlipAllReduce', { x }));
}

/** The kernels behind the collectives. They have no eager implementation: eager steps run at world size 1. */
export const COLLECTIVE_KERNELS = [
  defineKernel<{ rows: readonly number[] }>({
    name: 'SlipAllGather',
    place: 'wire',
    inputs: ['x'],
    infer: ([x], { rows }) => [{ shape: [total(rows), ...x!.shape.slice(1)], dtype: x!.dtype }],
    run: (collectives, input, output, { rows }) => collectives.allGather(input, output, lengths(rows, output)),
  }),
  defineKernel<{ rows: readonly number[]; rank: number }>({
    name: 'SlipReduceScatter',
    place: 'wire',
    inputs: ['x'],
    infer: ([x], { rows, rank }) => [{ shape: [rows[rank]!, ...x!.shape.slice(1)], dtype: x!.dtype }],
    run: (collectives, input, output, { rows }) => collectives.reduceScatter(input, output, lengths(rows, input)),
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

function total(rows: readonly number[]): number {
  return rows.reduce((sum, count) => sum + count, 0);
}

/** Elements of each rank's part of `all`; undefined where the parts are equal. */
function lengths(rows: readonly number[], all: Float32Array): number[] | undefined {
  if (rows.every((count) => count === rows[0])) return undefined;
  const width = all.length / total(rows);
  return rows.map((count) => count * width);
}

function single(tensors: readonly tf.Tensor[]): tf.Tensor {
  const [tensor] = tensors;
  invariant(tensor !== undefined, 'the kernel has a result');
  return tensor;
}
