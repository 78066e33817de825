// The norm of all gradients over the shards of all ranks, and the scale that keeps it below a limit; not the update.
import type { ProcessGroup } from '@slip/comms';
import { shardOf } from './gradient-buckets.js';
import type { GradientReduction } from './sharded-optimizer.js';
import type { TrainState } from './train-state.js';

/**
 * PyTorch's clip_grad_norm_ without a pass over the gradients. Collective; waits for the sums of all buckets.
 * @param mean turns sums over ranks and micro-batches into means
 * @returns `mean`, smaller where the norm of the mean gradients is above `limit`
 */
export async function clippedScale(
  { buckets, grads }: TrainState,
  group: ProcessGroup,
  reduction: GradientReduction,
  mean: number,
  limit: number,
): Promise<number> {
  let squares = 0;
  for (const [i, bucket] of buckets.entries()) {
    await reduction.done(i);
    const { start, end } = shardOf(bucket, group.rank);
    for (let k = start; k < end; k++) squares += grads[k] * grads[k];
  }
  const total = (await group.allGatherObject(squares)).reduce((sum, own) => sum + own, 0);
  return limitedScale(total, mean, limit);
}

/** @param squares sum of the squares of all gradients, which `mean` turns into means */
export function limitedScale(squares: number, mean: number, limit: number): number {
  const norm = Math.sqrt(squares) * mean;
  return mean * Math.min(1, limit / (norm + 1e-6));
}
