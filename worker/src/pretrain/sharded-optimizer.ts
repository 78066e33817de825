// The optimizer, sharded over the ranks (ZeRO, stage 1: Rajbhandari et al. 2020): each rank sums its shard of the gradients,
// updates its shard of the parameters, and everybody gets all of them. The arithmetic is the model's (adamW).
import { type ProcessGroup, shardLengths, type WireType } from '@slip/comms';
import { type AdamWHyper, adamW, clampLogitScale } from '@slip/model';
import { type CollectiveClock, timed } from './collective-clock.js';
import { type TrainState, tensorView } from './train-state.js';

/**
 * One update on all ranks. Gradients travel between machines as `wire`. `hyper.gradScale` turns sums over ranks and micro-batches into means.
 * @returns time spent in arithmetic, ms; that spent in collectives is on the clock
 */
export async function updateParameters(
  state: TrainState,
  group: ProcessGroup,
  clock: CollectiveClock,
  hyper: AdamWHyper,
  wire: WireType = 'float32',
): Promise<number> {
  const { params, grads, entries } = state;
  const lengths = shardLengths(params.length, group.worldSize);
  const range = rangeOf(lengths, group.rank);
  await timed(clock, () => group.reduceScatter(grads, grads.subarray(range.start, range.end), lengths, wire));
  const startedAt = performance.now();
  adamW(state, entries, hyper, range);
  const logitScale = entries.find(({ name }) => name === 'logit_scale');
  if (logitScale !== undefined && range.start <= logitScale.offset && logitScale.offset < range.end) {
    clampLogitScale(tensorView(state, params, 'logit_scale'));
  }
  const updateMs = performance.now() - startedAt;
  await timed(clock, () => group.allGather(params.subarray(range.start, range.end), params, lengths));
  return updateMs;
}

/** Makes the moments of all shards valid on every machine, for saving. */
export async function gatherMoments({ expAvg, expAvgSq }: TrainState, group: ProcessGroup): Promise<void> {
  const lengths = shardLengths(expAvg.length, group.worldSize);
  const { start, end } = rangeOf(lengths, group.rank);
  for (const moments of [expAvg, expAvgSq]) await group.allGather(moments.subarray(start, end), moments, lengths);
}

/** exp(logit_scale); 0 where the family has none. */
export function logitScaleOf(state: TrainState): number {
  if (!state.entries.some(({ name }) => name === 'logit_scale')) return 0;
  return Math.exp(tensorView(state, state.params, 'logit_scale')[0]);
}

function rangeOf(lengths: readonly number[], rank: number): { start: number; end: number } {
  const start = lengths.slice(0, rank).reduce((sum, length) => sum + length, 0);
  return { start, end: start + lengths[rank] };
}
