// One optimizer step: micro-batches through the engine, then one update of the parameters.
// Not the loop around it (trainer.ts).

import type { ProcessGroup } from '@slip/comms';
import type { RunConfig } from '@slip/config';
import { SlipError } from '@slip/core';
import type { TrainBatch, TrainLoader } from '@slip/data';
import type { StepExecutor } from '@slip/engine';
import { updateRunningStatistics } from '@slip/model';
import { type CollectiveClock, timed } from './collective-clock.js';
import { logitScaleOf, updateParameters } from './sharded-optimizer.js';
import type { TrainState } from './train-state.js';

export interface StepOutcome {
  /** Means over ranks and micro-batches: loss, clip_loss, clip_acc, ssl_loss, ssl_acc as the family has. */
  readonly metrics: Readonly<Record<string, number>>;
  /** exp(logit_scale) after the update; 0 where the family has none. */
  readonly logitScale: number;
  /** True when any rank has been asked to stop; all ranks see the same value. */
  readonly stopAgreed: boolean;
  readonly stepMs: number;
  readonly dataWaitMs: number;
  readonly commMs: number;
  readonly optimizerMs: number;
}

export interface TrainStepParts {
  readonly config: RunConfig;
  readonly state: TrainState;
  readonly executor: StepExecutor;
  /** Where the executor writes the gradients of one micro-batch; the state's own arena when `updateFreq` is 1. */
  readonly microGrads: Float32Array;
  readonly metricNames: readonly string[];
  readonly loader: TrainLoader;
  readonly group: ProcessGroup;
  readonly clock: CollectiveClock;
  /** Whether this rank was asked to stop. */
  readonly stopRequested: () => boolean;
}

/** Applies one optimizer step to `parts.state`. @throws SlipError `non-finite` on all ranks, parameters untouched */
export async function runTrainStep(parts: TrainStepParts, lr: number): Promise<StepOutcome> {
  const { config, state, group, clock } = parts;
  const startedAt = performance.now();
  clock.reset();
  const sums = new Map(parts.metricNames.map((name) => [name, 0]));
  let dataWaitMs = 0;
  for (let micro = 0; micro < config.updateFreq; micro++) {
    const batch = await parts.loader.next();
    dataWaitMs += batch.waitMs;
    feedBatch(parts.executor, batch);
    await parts.executor.run();
    accumulateGradients(state.grads, parts.microGrads, micro);
    for (const name of parts.metricNames) sums.set(name, sums.get(name)! + parts.executor.output(name)[0]);
    state.batchesTracked = updateStatistics(parts, state.batchesTracked);
  }

  const agreed = await agree(parts, sums);
  const optimizerMs = await updateParameters(state, group, clock, {
    lr,
    beta1: config.betas[0],
    beta2: config.betas[1],
    eps: config.eps,
    weightDecay: config.wd,
    step: state.step + 1,
    gradScale: 1 / (group.worldSize * config.updateFreq),
  });
  state.step += 1;
  const now = performance.now();
  return {
    metrics: agreed.metrics,
    logitScale: logitScaleOf(state),
    stopAgreed: agreed.stop,
    stepMs: now - startedAt,
    dataWaitMs,
    commMs: clock.totalMs,
    optimizerMs,
  };
}

function feedBatch(executor: StepExecutor, batch: TrainBatch): void {
  for (const view of ['image', 'aug1', 'aug2', 'tokens'] as const) {
    const data = batch[view];
    if (data !== undefined) executor.input(view).set(data);
  }
}

function accumulateGradients(grads: Float32Array, microGrads: Float32Array, micro: number): void {
  if (grads === microGrads) return;
  if (micro === 0) {
    grads.set(microGrads);
    return;
  }
  for (let i = 0; i < grads.length; i++) grads[i] += microGrads[i];
}

/** Running statistics advance after every micro-batch, first view then second (reference 1.4). */
function updateStatistics(parts: TrainStepParts, batchesTracked: number): number {
  return updateRunningStatistics(
    parts.state.buffers,
    parts.state.entries,
    (name) => parts.executor.output(name) as Float32Array,
    { globalRows: parts.config.batchSize * parts.group.worldSize, batchesTracked },
  );
}

/** One small exchange: metric means, whether any loss is not finite, whether anyone wants to stop. */
async function agree(
  parts: TrainStepParts,
  sums: ReadonlyMap<string, number>,
): Promise<{ metrics: Record<string, number>; stop: boolean }> {
  const { group, config, metricNames } = parts;
  const finite = [...sums.values()].every(Number.isFinite);
  const shared = new Float32Array(metricNames.length + 2);
  metricNames.forEach((name, i) => {
    shared[i] = finite ? sums.get(name)! : 0;
  });
  shared[metricNames.length] = finite ? 0 : 1;
  shared[metricNames.length + 1] = parts.stopRequested() ? 1 : 0;
  await timed(parts.clock, () => group.allReduce(shared));
  if (shared[metricNames.length] > 0) {
    throw new SlipError(
      'non-finite',
      `the loss is not finite at step ${parts.state.step + 1} (${describe(sums)} on rank ${group.rank}); ` +
        `lower --lr, lengthen --warmup-epochs, or look at the batch with the sample order of this step`,
      { details: { step: parts.state.step + 1 } },
    );
  }
  const count = group.worldSize * config.updateFreq;
  return {
    metrics: Object.fromEntries(metricNames.map((name, i) => [name, shared[i] / count])),
    stop: shared[metricNames.length + 1] > 0,
  };
}

function describe(sums: ReadonlyMap<string, number>): string {
  return [...sums].map(([name, value]) => `${name} ${value}`).join(', ');
}
