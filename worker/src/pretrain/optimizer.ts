// Optimizers as the training loop sees them: what they keep for each parameter, and how a range of the arenas is updated.
// The arithmetic is the model's; which range a rank updates is sharded-optimizer.ts.
import {
  adamW,
  adamWHyper,
  type DeviceOptimizer,
  deviceAdamW,
  deviceAverage,
  deviceSgd,
  type HyperInputs,
  sgd,
  sgdHyper,
  updateGroups,
} from '@slip/model';
import type { TensorEntry } from '@slip/model/architecture';
import { ADAMW_MOMENTS, type TrainState } from './train-state.js';

/** Of one step. */
export interface StepHyper {
  readonly lr: number;
  /** Steps before this one, those left out by loss scaling included: the place in every schedule. */
  readonly step: number;
  /** Of these, how many were applied. */
  readonly applied: number;
  /** Multiplies every gradient: sums over ranks and micro-batches become means. */
  readonly gradScale: number;
}

/** Updates elements [start, end) of the arenas; called for every shard of this rank. */
export type OptimizerUpdate = (range: { readonly start: number; readonly end: number }) => void;

export interface Optimizer {
  /** Names of what it keeps for each parameter, as PyTorch has them. */
  readonly moments: readonly string[];
  update(state: TrainState, hyper: StepHyper): OptimizerUpdate;
  /** The same on a device that keeps the state, */
  readonly onDevice: DeviceOptimizer;
  /** and the numbers that it needs for a step. */
  hyper(entries: readonly TensorEntry[], hyper: StepHyper): HyperInputs;
}

export function adamWOptimizer(options: {
  readonly betas: readonly [number, number];
  readonly eps: number;
  /** By steps applied so far, where it is no constant. */
  readonly weightDecay: number | ((step: number) => number);
}): Optimizer {
  const [beta1, beta2] = options.betas;
  const { eps, weightDecay: decay } = options;
  const decayAt = (step: number) => (typeof decay === 'number' ? decay : decay(step));
  return {
    moments: ADAMW_MOMENTS,
    update(state, { lr, step, applied, gradScale }) {
      const { params, grads, entries } = state;
      const arenas = { params, grads, expAvg: state.moments.exp_avg, expAvgSq: state.moments.exp_avg_sq };
      const hyper = { lr, beta1, beta2, eps, weightDecay: decayAt(step), step: applied + 1, gradScale };
      return (range) => adamW(arenas, entries, hyper, range);
    },
    onDevice: deviceAdamW(options.betas, eps),
    hyper: (entries, { lr, step, applied, gradScale }) =>
      adamWHyper(updateGroups(entries), {
        ...{ lr, gradScale, betas: options.betas, weightDecay: decayAt(step), step: applied + 1 },
      }),
  };
}

/** With PyTorch's momentum and no Nesterov. */
export function sgdOptimizer(options: { readonly momentum: number; readonly weightDecay: number }): Optimizer {
  return {
    moments: ['momentum_buffer'],
    update(state, { lr, gradScale }) {
      const { params, grads, entries } = state;
      const arenas = { params, grads, momentumBuffer: state.moments.momentum_buffer };
      return (range) => sgd(arenas, entries, { ...options, lr, gradScale }, range);
    },
    onDevice: deviceSgd(options.momentum),
    hyper: (entries, { lr, gradScale }) =>
      sgdHyper(updateGroups(entries), { lr, gradScale, weightDecay: options.weightDecay }),
  };
}

/** Keeps a moving average of the parameters beside another optimizer, as timm's ModelEma does: in the moment `ema`. */
export function withAverage(optimizer: Optimizer, decay: number): Optimizer {
  return {
    moments: [...optimizer.moments, 'ema'],
    onDevice: deviceAverage(optimizer.onDevice, decay),
    hyper: (entries, hyper) => optimizer.hyper(entries, hyper),
    update(state, hyper) {
      const update = optimizer.update(state, hyper);
      const { params } = state;
      const { ema } = state.moments;
      return (range) => {
        update(range);
        for (let i = range.start; i < range.end; i++) ema[i] = decay * ema[i] + (1 - decay) * params[i];
      };
    },
  };
}
