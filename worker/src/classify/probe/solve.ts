// Fitting a probe: to the optimum by L-BFGS, or by SGD with momentum over a number of epochs; and the sweep over regularisations, chosen
// on a part of the training set that they do not see.
import { RandomStream } from '@slip/core';
import { minimise } from './lbfgs.js';
import type { Head, ProbeObjective, ProbeRows } from './probe-objective.js';

export interface SolveOptions {
  readonly solver: 'lbfgs' | 'sgd';
  readonly maxIterations: number;
  /** Of SGD. */
  readonly epochs: number;
  readonly batchRows: number;
  readonly lr: number;
  readonly momentum: number;
  readonly seed: number;
}

/** Rows of the training set, and which of them this rank has: [first, first + features). */
export interface ShardedRows extends ProbeRows {
  readonly first: number;
  readonly total: number;
}

const TOLERANCE = 1e-6;
const PROGRESS = 1e-6;

/** @param wanted of all training rows, those that count, in any order. Collective. @returns the same head on all ranks */
export async function fit(
  objective: ProbeObjective,
  rows: ShardedRows,
  wanted: Uint32Array,
  l2: number,
  options: SolveOptions,
): Promise<{ head: Head; iterations: number; converged: boolean }> {
  const start = new Float64Array(objective.headSize);
  if (options.solver === 'lbfgs') {
    const own = ownRows(rows, wanted);
    const result = await minimise((head) => objective.evaluate(head, rows, own, wanted.length, l2), start, {
      maxIterations: options.maxIterations,
      tolerance: TOLERANCE,
      progress: PROGRESS,
    });
    return { head: result.x, iterations: result.iterations, converged: result.converged };
  }
  return descend(objective, rows, wanted, l2, options, start);
}

/** Mini-batches are drawn from all rows, whichever rank has them; the learning rate falls by a cosine. */
async function descend(
  objective: ProbeObjective,
  rows: ShardedRows,
  wanted: Uint32Array,
  l2: number,
  { epochs, batchRows, lr, momentum, seed }: SolveOptions,
  head: Head,
) {
  const velocity = new Float64Array(head.length);
  const perEpoch = Math.ceil(wanted.length / batchRows);
  for (let step = 0; step < epochs * perEpoch; step++) {
    const order = epochOrder(seed, Math.floor(step / perEpoch), wanted);
    const batch = order.subarray((step % perEpoch) * batchRows, ((step % perEpoch) + 1) * batchRows);
    const { gradient } = await objective.evaluate(head, rows, ownRows(rows, batch), batch.length, l2);
    const rate = lr * 0.5 * (1 + Math.cos((Math.PI * step) / (epochs * perEpoch)));
    for (let i = 0; i < head.length; i++) {
      velocity[i] = momentum * velocity[i] + gradient[i];
      head[i] -= rate * velocity[i];
    }
  }
  return { head, iterations: epochs * perEpoch, converged: true };
}

function epochOrder(seed: number, epoch: number, wanted: Uint32Array): Uint32Array {
  return new RandomStream(seed, 'probe', epoch).permutation(wanted.length).map((place) => wanted[place]);
}

/** As rows of this rank, in the order of `wanted`. */
function ownRows({ first, labels }: ShardedRows, wanted: Uint32Array): Int32Array {
  const own: number[] = [];
  for (const row of wanted) if (row >= first && row < first + labels.length) own.push(row - first);
  return Int32Array.from(own);
}

export interface SweepResult {
  readonly l2: number;
  /** Percent on the rows that were held out. */
  readonly acc1: number;
  readonly iterations: number;
  readonly converged: boolean;
}

/**
 * Tries each regularisation without the held-out share; equal accuracies are won by the stronger one. Collective.
 * @param told of each result
 */
export async function sweep(
  objective: ProbeObjective,
  rows: ShardedRows,
  regularisations: readonly number[],
  holdout: number,
  options: SolveOptions,
  told: (result: SweepResult) => void,
): Promise<SweepResult[]> {
  const order = new RandomStream(options.seed, 'holdout').permutation(rows.total);
  const held = Math.max(1, Math.floor(rows.total * holdout));
  const results: SweepResult[] = [];
  for (const l2 of regularisations) {
    const { head, iterations, converged } = await fit(objective, rows, order.subarray(held), l2, options);
    const { acc1 } = await objective.figures(head, rows, ownRows(rows, order.subarray(0, held)));
    const result = { l2, acc1, iterations, converged };
    told(result);
    results.push(result);
  }
  return results;
}

export function bestOf(results: readonly SweepResult[]): SweepResult {
  return results.reduce((best, one) =>
    one.acc1 > best.acc1 || (one.acc1 === best.acc1 && one.l2 > best.l2) ? one : best,
  );
}
