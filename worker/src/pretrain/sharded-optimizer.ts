// The optimizer, sharded over the ranks (ZeRO, stage 1: Rajbhandari et al. 2020): each rank sums its shard of the gradients,
// updates its shard of the parameters, and everybody gets all of them, bucket by bucket. The arithmetic is that of optimizer.ts.
import type { ProcessGroup, WireType } from '@slip/comms';
import { clampLogitScale } from '@slip/model';
import { type CollectiveClock, timed } from './collective-clock.js';
import { shardOf } from './gradient-buckets.js';
import type { OptimizerUpdate } from './optimizer.js';
import type { PowerSgd } from './powersgd.js';
import { type TrainState, tensorView } from './train-state.js';

/** How gradients travel: as these between machines, or as PowerSGD's factors. */
export type GradientWire = WireType | PowerSgd;

/** The sums of one step's gradients over ranks, a bucket at a time. */
export interface GradientReduction {
  /** The bucket's gradients are final on this rank: its sum begins, after those begun before. The same order on all ranks. */
  start(bucket: number): void;
  isStarted(bucket: number): boolean;
  /**
   * The own shard of the bucket holds the sum over ranks. Starts what was not.
   * @returns how much of that was arithmetic of compression, ms
   */
  done(bucket: number): Promise<number>;
}

export function reduceGradients(
  state: TrainState,
  group: ProcessGroup,
  wire: GradientWire = 'float32',
): GradientReduction {
  if (typeof wire === 'string') return reduceShards(state, group, wire);
  return wire.isDue(state.step) ? reduceAsFactors(state, wire) : reduceShards(state, group, 'float32');
}

/** Begins when the first sum is wanted: factors are made of whole gradients, and their two all-reduces must not mix with other calls. */
function reduceAsFactors({ grads, step }: TrainState, wire: PowerSgd): GradientReduction {
  const started = new Set<number>();
  let isDone = false;
  return {
    start: (i) => {
      started.add(i);
    },
    isStarted: (i) => started.has(i),
    async done() {
      if (isDone) return 0;
      isDone = true;
      return wire.reduce(grads, step);
    },
  };
}

function reduceShards({ grads, buckets }: TrainState, group: ProcessGroup, wire: WireType): GradientReduction {
  const sums: Promise<void>[] = [];
  const start = (i: number) => {
    const { start: first, end, lengths } = buckets[i];
    const own = shardOf(buckets[i], group.rank);
    sums[i] = group.reduceScatter(grads.subarray(first, end), grads.subarray(own.start, own.end), lengths, wire);
    // Whoever waits for it, or for a later collective, gets the failure.
    sums[i].catch(() => undefined);
  };
  return {
    start,
    isStarted: (i) => sums[i] !== undefined,
    async done(i) {
      if (sums[i] === undefined) start(i);
      await sums[i];
      return 0;
    },
  };
}

/**
 * One update on all ranks. The parameters of a bucket are gathered while the next one is updated.
 * @param update of a range of the arenas, whose gradients are sums over ranks and micro-batches
 * @param reduction what is already being summed
 * @returns time spent in arithmetic, ms; that spent in collectives is on the clock
 */
export async function updateParameters(
  state: TrainState,
  group: ProcessGroup,
  clock: CollectiveClock,
  update: OptimizerUpdate,
  reduction: GradientReduction = reduceGradients(state, group),
): Promise<number> {
  const { params, entries, buckets } = state;
  const logitScale = entries.find(({ name }) => name === 'logit_scale');
  const gathers: Promise<void>[] = [];
  let updateMs = 0;
  for (const [i, bucket] of buckets.entries()) {
    const compressionMs = await timed(clock, () => reduction.done(i));
    clock.totalMs -= compressionMs;
    updateMs += compressionMs;
    const startedAt = performance.now();
    const own = shardOf(bucket, group.rank);
    update(own);
    if (logitScale !== undefined && own.start <= logitScale.offset && logitScale.offset < own.end) {
      clampLogitScale(tensorView(state, params, 'logit_scale'));
    }
    updateMs += performance.now() - startedAt;
    gathers.push(gatherBucket(params, state, i, group));
    gathers[i].catch(() => undefined);
  }
  await timed(clock, () => Promise.all(gathers));
  return updateMs;
}

/** Makes the moments of all shards valid on every machine, for saving. */
export async function gatherMoments(state: TrainState, group: ProcessGroup): Promise<void> {
  for (const moments of Object.values(state.moments)) {
    for (const i of state.buckets.keys()) await gatherBucket(moments, state, i, group);
  }
}

/** Makes the summed gradients of all shards valid on every rank. */
export async function gatherGradients(state: TrainState, group: ProcessGroup): Promise<void> {
  for (const i of state.buckets.keys()) await gatherBucket(state.grads, state, i, group);
}

/** Everybody gets the shards of all ranks in a bucket of this arena. */
function gatherBucket(arena: Float32Array, { buckets }: TrainState, i: number, group: ProcessGroup): Promise<void> {
  const { start, end, lengths } = buckets[i];
  const own = shardOf(buckets[i], group.rank);
  return group.allGather(arena.subarray(own.start, own.end), arena.subarray(start, end), lengths);
}

/** exp(logit_scale); 0 where the family has none. */
export function logitScaleOf(state: TrainState): number {
  if (!state.entries.some(({ name }) => name === 'logit_scale')) return 0;
  return Math.exp(tensorView(state, state.params, 'logit_scale')[0]);
}
