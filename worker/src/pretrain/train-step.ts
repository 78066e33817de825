// One optimizer step: micro-batches through the engine, then one update of the parameters.
// Not the loop around it (trainer.ts).

import { type ProcessGroup, sumTree } from '@slip/comms';
import type { TrainingConfig } from '@slip/config';
import { SlipError } from '@slip/core';
import { updateRunningStatistics } from '@slip/model';
import { profiled, type StepProfile } from '../profile/step-profile.js';
import { type CollectiveClock, timed } from './collective-clock.js';
import { hostUpdate, type ParameterUpdate } from './host-update.js';
import type { Lane } from './lanes.js';
import { feedLossScale, updateLossScale } from './loss-scale.js';
import type { Optimizer } from './optimizer.js';
import { type GradientWire, logitScaleOf } from './sharded-optimizer.js';
import type { TrainState } from './train-state.js';

export interface StepOutcome {
  /** Means over ranks and micro-batches: loss, clip_loss, clip_acc, ssl_loss, ssl_acc as the family has. */
  readonly metrics: Readonly<Record<string, number>>;
  /** exp(logit_scale) after the update; 0 where the family has none. */
  readonly logitScale: number;
  /** With loss scaling: the scale of this step, and steps left out so far, this one included. */
  readonly lossScale?: { readonly scale: number; readonly skippedSteps: number };
  /** True when any rank has been asked to stop; all ranks see the same value, as they do of what follows. */
  readonly stopAgreed: boolean;
  /** Rank 0 finds that a checkpoint is due. */
  readonly saveAgreed: boolean;
  /** A save is under way, and all ranks have written their shares. */
  readonly allWritten: boolean;
  readonly stepMs: number;
  readonly dataWaitMs: number;
  /** Collectives under way; where they run in a thread of their own, partly hidden behind the computation. */
  readonly commMs: number;
  /** Of `stepMs`, waiting for collectives. */
  readonly commExposedMs: number;
  readonly optimizerMs: number;
}

export interface TrainStepParts {
  readonly config: TrainingConfig;
  readonly optimizer: Optimizer;
  /** What becomes of the gradients; the host's way without it. */
  readonly update?: ParameterUpdate;
  readonly state: TrainState;
  /** Usually one; its gradients are the state's own. */
  readonly lanes: readonly Lane[];
  readonly metricNames: readonly string[];
  readonly group: ProcessGroup;
  readonly clock: CollectiveClock;
  /** How gradients travel; as float32 without it. */
  readonly gradientWire?: GradientWire;
  /** Largest norm of all gradients; no limit without it. */
  readonly clipGrad?: number;
  readonly profile?: StepProfile;
  /** Whether this rank was asked to stop. */
  readonly stopRequested: () => boolean;
  readonly saving: Saving;
}

/** What a step has to know of checkpoints. */
export interface Saving {
  /** On all ranks alike. */
  readonly isUnderWay: boolean;
  /** This rank's share. */
  readonly isWriting: boolean;
  readonly isDue: boolean;
  /** Resolves when this rank's share is not read from the state any more; before that no rank may change what the optimizer keeps. */
  release(): Promise<void>;
}

/** Applies one optimizer step to `parts.state`. @throws SlipError `non-finite` on all ranks, parameters untouched */
export async function runTrainStep(parts: TrainStepParts, lr: number): Promise<StepOutcome> {
  const { config, state, clock } = parts;
  const startedAt = performance.now();
  clock.reset();
  const { lanes, metricNames, profile } = parts;
  feedLossScale(state, lanes);
  const gradients = (parts.update ?? hostUpdate(parts)).begin();
  const sums = lanes.map(() => new Float32Array(metricNames.length));
  let dataWaitMs = 0;
  for (let micro = 0; micro < config.updateFreq; micro++) {
    for (const { loader, feed } of lanes) {
      const batch = await profiled(profile, 'data', 'batch', () => loader.next());
      dataWaitMs += batch.waitMs;
      feed(batch, { step: state.step, micro });
    }
    const isLast = micro === config.updateFreq - 1;
    const release = isLast ? gradients.release : undefined;
    await Promise.all(lanes.map(({ executor }) => executor.run(release)));
    await gradients.add(micro);
    for (const [i, lane] of lanes.entries()) {
      for (const [k, name] of metricNames.entries()) sums[i][k] += lane.executor.output(name)[0];
    }
    state.batchesTracked = updateStatistics(parts, state.batchesTracked);
  }
  gradients.complete();
  if (parts.saving.isWriting) await profiled(profile, 'checkpoint', 'release', () => parts.saving.release());

  // No rank gets past this before all have let go of the state.
  const agreed = await profiled(profile, 'collectives', 'agree', () => agree(parts, sums));
  const { lossScale } = state;
  const scale = lossScale?.scale ?? 1;
  const isSkipped = lossScale !== undefined && (await gradients.isOverflow());
  const optimizerMs = isSkipped ? 0 : await profiled(profile, 'optimizer', 'apply', () => gradients.apply(lr));
  if (lossScale !== undefined) updateLossScale(lossScale, isSkipped);
  state.step += 1;
  const comm = clock.readStep();
  const now = performance.now();
  return {
    metrics: agreed.metrics,
    logitScale: logitScaleOf(state),
    ...(lossScale === undefined ? {} : { lossScale: { scale, skippedSteps: lossScale.skippedSteps } }),
    stopAgreed: agreed.stop,
    saveAgreed: agreed.save,
    allWritten: agreed.written,
    stepMs: now - startedAt,
    dataWaitMs,
    commMs: comm.commMs,
    commExposedMs: comm.exposedMs,
    optimizerMs,
  };
}

/** Running statistics advance after every micro-batch, first view then second (reference 1.4); all lanes have the same. */
function updateStatistics(parts: TrainStepParts, batchesTracked: number): number {
  return updateRunningStatistics(
    parts.state.buffers,
    parts.state.entries,
    (name) => parts.lanes[0].executor.output(name) as Float32Array,
    { globalRows: parts.config.rowsPerMicroBatch, batchesTracked },
  );
}

interface Agreed {
  readonly metrics: Record<string, number>;
  readonly stop: boolean;
  readonly save: boolean;
  readonly written: boolean;
}

/** One small exchange: metric means, whether any loss is not finite, and what the ranks have to do next. */
async function agree(parts: TrainStepParts, sums: readonly Float32Array[]): Promise<Agreed> {
  const { group, config, metricNames, lanes, saving } = parts;
  const finite = sums.every((own) => own.every(Number.isFinite));
  const own = new Float32Array(metricNames.length);
  sumTree(sums, [own]);
  const flags = [!finite, parts.stopRequested(), group.rank === 0 && saving.isDue, saving.isWriting];
  const shared = new Float32Array(metricNames.length + flags.length);
  metricNames.forEach((_, i) => {
    shared[i] = finite ? own[i] : 0;
  });
  shared.set(flags.map(Number), metricNames.length);
  await timed(parts.clock, () => group.allReduce(shared));
  const [anyNotFinite, anyStop, save, anyWriting] = shared.subarray(metricNames.length).map(Math.sign);
  if (anyNotFinite > 0) {
    throw new SlipError(
      'non-finite',
      `the loss is not finite at step ${parts.state.step + 1} (${describe(metricNames, own)} on rank ${group.rank}); ` +
        `lower --lr, lengthen --warmup-epochs, or look at the batch with the sample order of this step`,
      { details: { step: parts.state.step + 1 } },
    );
  }
  const count = group.worldSize * lanes.length * config.updateFreq;
  return {
    metrics: Object.fromEntries(metricNames.map((name, i) => [name, shared[i] / count])),
    stop: anyStop > 0,
    save: save > 0,
    written: saving.isUnderWay && anyWriting === 0,
  };
}

function describe(names: readonly string[], sums: Float32Array): string {
  return names.map((name, i) => `${name} ${sums[i]}`).join(', ');
}
