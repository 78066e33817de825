// Dynamic loss scaling for float16, with PyTorch's constants: the loss is multiplied so that small gradients stay in the range of
// halves; a step whose gradients are not finite is left out. The state is a run's and is in its checkpoints.
import type { ProcessGroup } from '@slip/comms';
import type { StepExecutor } from '@slip/engine';
import { shardOf } from './gradient-buckets.js';
import type { GradientReduction } from './sharded-optimizer.js';
import type { TrainState } from './train-state.js';

export interface LossScale {
  /** What the loss is multiplied by: a power of two, so that it costs no digits. */
  scale: number;
  /** Steps without overflow since the scale last changed. */
  goodSteps: number;
  /** Steps left out so far. */
  skippedSteps: number;
}

const INITIAL_SCALE = 2 ** 16;
const GROWTH_INTERVAL = 2000;
const GROWTH_FACTOR = 2;
const BACKOFF_FACTOR = 0.5;

export function freshLossScale(): LossScale {
  return { scale: INITIAL_SCALE, goodSteps: 0, skippedSteps: 0 };
}

/** After a step. @param isSkipped its gradients were not finite */
export function updateLossScale(loss: LossScale, isSkipped: boolean): void {
  loss.goodSteps = isSkipped ? 0 : loss.goodSteps + 1;
  if (isSkipped) {
    loss.skippedSteps += 1;
    loss.scale *= BACKOFF_FACTOR;
  } else if (loss.goodSteps === GROWTH_INTERVAL) {
    loss.goodSteps = 0;
    loss.scale *= GROWTH_FACTOR;
  }
}

/** Writes the scale into the step of each lane. */
export function feedLossScale({ lossScale }: TrainState, lanes: readonly { readonly executor: StepExecutor }[]): void {
  if (lossScale === undefined) return;
  for (const { executor } of lanes) executor.input('loss_scale')[0] = lossScale.scale;
}

/** Whether any gradient of any rank is not finite; the same on all ranks. Collective; waits for the sums of all buckets. */
export async function isOverflow(
  { buckets, grads }: TrainState,
  group: ProcessGroup,
  reduction: GradientReduction,
): Promise<boolean> {
  let own = 0;
  for (const [i, bucket] of buckets.entries()) {
    await reduction.done(i);
    const { start, end } = shardOf(bucket, group.rank);
    // Zero times anything finite is zero; times infinity it is not a number, and stays so.
    let sum = 0;
    for (let k = start; k < end; k++) sum += grads[k] * 0;
    if (sum !== 0) own = 1;
  }
  const flag = Float32Array.of(own);
  await group.allReduce(flag);
  return flag[0] > 0;
}
