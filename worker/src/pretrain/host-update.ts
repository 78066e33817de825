// What becomes of the gradients of a step in the host's memory: added up over micro-batches, summed over ranks while the backward pass
// still runs, and applied by the sharded optimizer.
import { timed } from './collective-clock.js';
import type { Bucket } from './gradient-buckets.js';
import { clippedScale } from './gradient-norm.js';
import { type Lane, sumLanes } from './lanes.js';
import { isOverflow } from './loss-scale.js';
import { type GradientReduction, reduceGradients, updateParameters } from './sharded-optimizer.js';
import type { TrainState } from './train-state.js';
import type { TrainStepParts } from './train-step.js';

/** Where the state of a run lives decides what becomes of its gradients. */
export interface ParameterUpdate {
  /** At the beginning of a step. */
  begin(): StepGradients;
  /** Makes the arenas of the state those of now, for whoever reads them: saves and validation. */
  bringToHost(): Promise<void>;
}

/** The gradients of one optimizer step. */
export interface StepGradients {
  /** For the last micro-batch: what to call when a bucket is final, where anything leaves early. */
  readonly release: ((bucket: number) => void) | undefined;
  /** Those of a micro-batch are there. */
  add(micro: number): Promise<void>;
  /** Those of all micro-batches are. */
  complete(): void;
  /** Whether any of any rank is not finite; the same on all ranks. Asked where losses are scaled. */
  isOverflow(): Promise<boolean>;
  /** One update of the parameters on all ranks. @returns time spent in arithmetic, ms */
  apply(lr: number): Promise<number>;
}

export function hostUpdate(parts: TrainStepParts): ParameterUpdate {
  const { state, group, clock } = parts;
  return {
    begin() {
      const { reduction, ...gradients } = sumOnHost(parts);
      return {
        ...gradients,
        async apply(lr) {
          const gradScale = await scaleOf(parts, reduction);
          const update = parts.optimizer.update(state, { ...stepsOf(state), lr, gradScale });
          return updateParameters(state, group, clock, update, reduction);
        },
      };
    },
    bringToHost: async () => {},
  };
}

/** Gradients summed over micro-batches in `state.grads`, and their reduction over ranks. */
export function sumOnHost(
  parts: TrainStepParts,
): Omit<StepGradients, 'apply'> & { readonly reduction: GradientReduction } {
  const { config, state, group, lanes } = parts;
  const reduction = reduceGradients(state, group, parts.gradientWire);
  const lastMicro = config.updateFreq - 1;
  return {
    reduction,
    // A bucket is on its way as soon as the backward pass has completed it.
    release:
      lanes.length > 1
        ? undefined
        : (b) => {
            accumulateGradients(lanes[0], lastMicro, state.buckets[b]);
            reduction.start(b);
          },
    async add(micro) {
      for (const lane of lanes) {
        for (const [b, bucket] of state.buckets.entries()) {
          if (!reduction.isStarted(b)) accumulateGradients(lane, micro, bucket);
        }
      }
    },
    complete() {
      sumLanes(lanes, state.grads);
      for (const b of state.buckets.keys()) if (!reduction.isStarted(b)) reduction.start(b);
    },
    isOverflow: () => timed(parts.clock, () => isOverflow(state, group, reduction)),
  };
}

/** What turns the sums into means, smaller where the norm of the means is above the limit. */
export async function scaleOf(parts: TrainStepParts, reduction: GradientReduction): Promise<number> {
  const { state, group, clock, clipGrad } = parts;
  const mean = meanScale(parts);
  return clipGrad === undefined ? mean : timed(clock, () => clippedScale(state, group, reduction, mean, clipGrad));
}

/** The loss scale is taken out of the gradients too. */
export function meanScale({ config, group, lanes, state }: TrainStepParts): number {
  return 1 / (group.worldSize * lanes.length * config.updateFreq * (state.lossScale?.scale ?? 1));
}

/** Steps so far, and those of them that were applied. */
export function stepsOf({ step, lossScale }: TrainState): { step: number; applied: number } {
  return { step, applied: step - (lossScale?.skippedSteps ?? 0) };
}

function accumulateGradients({ grads, microGrads }: Lane, micro: number, { start, end }: Bucket): void {
  if (grads === microGrads) return;
  if (micro === 0) {
    grads.set(microGrads.subarray(start, end), start);
    return;
  }
  for (let i = start; i < end; i++) grads[i] += microGrads[i];
}
