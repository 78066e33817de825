// Which samples make up which micro-batch: a pure function of (seed, epoch), never of workers or restarts.
import { RandomStream } from '@slip/core';
import { torchRandperm } from './mersenne-twister.js';

export interface SamplerOptions {
  /** `slip`: the samples of a global micro-batch do not depend on the number of ranks. `torch`: DistributedSampler's order. */
  readonly sampler: 'slip' | 'torch';
  readonly datasetSize: number;
  readonly rank: number;
  /** Rows of a micro-batch on each rank; equal with `torch`. */
  readonly rows: readonly number[];
  readonly seed: number;
  /** A last micro-batch that is not full counts too. */
  readonly keepLast?: boolean;
  /** Places in the micro-batch whose samples come after the own ones; with `slip` only. */
  readonly extraRows?: readonly number[];
}

/** Whole micro-batches only, unless the last is kept: the rest of an epoch is passed over. */
export function countBatches({
  sampler,
  datasetSize,
  rows,
  keepLast = false,
}: Omit<SamplerOptions, 'rank' | 'seed'>): number {
  const whole = keepLast ? Math.ceil : Math.floor;
  return sampler === 'torch' ? whole(Math.ceil(datasetSize / rows.length) / rows[0]) : whole(datasetSize / sum(rows));
}

/** The order of all samples in an epoch. */
export function slipOrder(seed: number, epoch: number, datasetSize: number): Uint32Array {
  return new RandomStream(seed, 'order', epoch).permutation(datasetSize);
}

/** PyTorch's DistributedSampler with its own seed 0: padded by repeating from the start, every R-th from `rank` on. */
export function distributedSampler(epoch: number, datasetSize: number, rank: number, worldSize: number): Uint32Array {
  const order = torchRandperm(epoch, datasetSize);
  return Uint32Array.from(
    { length: Math.ceil(datasetSize / worldSize) },
    (_, i) => order[(rank + i * worldSize) % datasetSize],
  );
}

/** @returns the samples of micro-batch `batch` on this rank; computes the epoch's order once and keeps it */
export function createSampler(options: SamplerOptions): (epoch: number, batch: number) => Uint32Array {
  const { sampler, datasetSize, rank, rows, seed, extraRows = [] } = options;
  const before = sum(rows.slice(0, rank));
  let orderOf = -1;
  let order: Uint32Array = new Uint32Array();
  return (epoch, batch) => {
    if (orderOf !== epoch) {
      order =
        sampler === 'torch'
          ? distributedSampler(epoch, datasetSize, rank, rows.length)
          : slipOrder(seed, epoch, datasetSize);
      orderOf = epoch;
    }
    const start = sampler === 'torch' ? batch * rows[rank] : batch * sum(rows) + before;
    const own = order.slice(start, start + rows[rank]);
    return extraRows.length === 0
      ? own
      : Uint32Array.from([...own, ...extraRows.map((row) => order[batch * sum(rows) + row])]);
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
