// The training loop, and nothing that it could call instead: read it to know the order of things.

import type { ProcessGroup } from '@slip/comms';
import type { Plan, TrainingConfig } from '@slip/config';
import type { Logger } from '@slip/core';
import type { RunMetrics } from '@slip/metrics';
import type { Validation, ValidationResult } from '../evaluation/validation.js';
import { profiled } from '../profile/step-profile.js';
import type { Checkpointer } from './checkpointer.js';
import type { TrainState } from './train-state.js';
import { runTrainStep, type StepOutcome, type TrainStepParts } from './train-step.js';

export type TrainOutcome = 'completed' | 'stopped';

export interface TrainerParts extends TrainStepParts {
  readonly config: TrainingConfig;
  readonly plan: Plan;
  readonly state: TrainState;
  readonly group: ProcessGroup;
  readonly checkpointer: Checkpointer;
  readonly metrics: RunMetrics;
  /** Undefined where there is nothing to validate on. */
  readonly validation: Validation | undefined;
  readonly learningRate: (step: number) => number;
  readonly reportStep: (step: number) => void;
  readonly log: Logger;
}

/** Trains from `state.step` to the end of the plan, or to a step boundary where any rank was asked to stop. */
export async function train(parts: TrainerParts): Promise<TrainOutcome> {
  const { config, plan, state, checkpointer, profile } = parts;
  const lastStep = Math.min(plan.totalSteps, config.maxSteps > 0 ? config.maxSteps : Number.POSITIVE_INFINITY);
  // Rank 0 knows what was recorded; all ranks have to take part in what is repeated.
  const [earlier] = await parts.group.allGatherObject(parts.metrics.earlier);
  // The checkpoint of an epoch is older than its validation.
  state.bestAcc1 = Math.max(state.bestAcc1, earlier.bestAcc1);
  if (isInterruptedAtEpochEnd(parts, earlier.lastEpochEnd)) await endEpoch(parts);
  seekLoader(parts);
  while (state.step < lastStep) {
    const lr = parts.learningRate(state.step);
    const name = `step ${state.step + 1}`;
    const outcome = await profiled(profile, 'step', name, () => runTrainStep(parts, lr));
    await profile?.endStep(parts.lanes.map(({ executor }) => executor));
    recordStep(parts, outcome, lr);
    checkpointer.noteStep(outcome.stepMs);
    parts.reportStep(state.step);
    if (outcome.allWritten) await checkpointer.finish(parts);
    if (outcome.stopAgreed && state.step < lastStep) {
      await saveNow(parts);
      return 'stopped';
    }
    if (state.step % plan.stepsPerEpoch === 0) {
      await endEpoch(parts);
      seekLoader(parts);
    } else if (outcome.saveAgreed || isMultiple(state.step, config.checkpointEverySteps)) {
      await beginSave(parts);
    }
  }
  await saveNow(parts);
  return 'completed';
}

async function beginSave(parts: TrainerParts, isLast = false): Promise<void> {
  await parts.update?.bringToHost();
  await profiled(parts.profile, 'checkpoint', 'begin', () => parts.checkpointer.begin(parts, isLast));
}

/** The last save of this attempt: nothing is left to be written after it. */
async function saveNow(parts: TrainerParts): Promise<void> {
  await beginSave(parts, true);
  await parts.checkpointer.finish(parts, true);
}

function isMultiple(step: number, every: number): boolean {
  return every > 0 && step % every === 0;
}

/** The place in the data is a pure function of the step; left-over micro-batches of an epoch are passed over. */
function seekLoader({ plan, state, config, lanes }: TrainerParts): void {
  const [epoch, batch] = [
    Math.floor(state.step / plan.stepsPerEpoch),
    (state.step % plan.stepsPerEpoch) * config.updateFreq,
  ];
  for (const { loader } of lanes) loader.seek(epoch, batch);
}

/**
 * Saving begins first and does not depend on the validation (reference 8.1.6). What follows may be repeated: a run that was
 * killed in between does it when it continues.
 */
async function endEpoch(parts: TrainerParts): Promise<void> {
  const { config, plan, state, validation } = parts;
  const epoch = state.step / plan.stepsPerEpoch - 1;
  await beginSave(parts);
  const due = (epoch + 1) % config.evalFreq === 0 || state.step === plan.totalSteps;
  const validated = due && validation !== undefined ? await validation.run(state) : undefined;
  if (validated !== undefined) await recordValidation(parts, validated, epoch);
  await parts.metrics.epoch({ ...testFigures(validated), epoch });
}

function isInterruptedAtEpochEnd({ plan, state }: TrainerParts, lastEpochEnd: number): boolean {
  return state.step > 0 && state.step % plan.stepsPerEpoch === 0 && lastEpochEnd < state.step;
}

/** Recorded last: a run that was killed before repeats the validation, and one that was killed after knows its best. */
async function recordValidation(parts: TrainerParts, validated: ValidationResult, epoch: number): Promise<void> {
  const { state, metrics, checkpointer } = parts;
  parts.log.info(validated.summary);
  if (validated.figures.acc1 > state.bestAcc1) {
    state.bestAcc1 = validated.figures.acc1;
    await checkpointer.markBest(parts, state.step);
  }
  metrics.evaluation({ step: state.step, epoch, ...validated.figures });
}

function testFigures(validated: ValidationResult | undefined): Record<string, number> {
  if (validated === undefined) return {};
  const { acc1, acc5, loss } = validated.figures as Record<string, number | undefined>;
  return { test_acc1: acc1!, test_acc5: acc5!, ...(loss === undefined ? {} : { test_loss: loss }) };
}

function recordStep(parts: TrainerParts, outcome: StepOutcome, lr: number): void {
  const { config, plan, state } = parts;
  const iteration = (state.step - 1) % plan.stepsPerEpoch;
  const images = config.rowsPerMicroBatch * config.updateFreq;
  const record = {
    step: state.step,
    epoch: Math.floor((state.step - 1) / plan.stepsPerEpoch),
    iteration,
    lr,
    loss: outcome.metrics.loss,
    ...outcome.metrics,
    ...(config.task === undefined ? { logit_scale: outcome.logitScale } : {}),
    ...(outcome.lossScale === undefined
      ? {}
      : { loss_scale: outcome.lossScale.scale, skipped_steps: outcome.lossScale.skippedSteps }),
    imagesPerSecond: (images / outcome.stepMs) * 1000,
    stepMs: outcome.stepMs,
    dataWaitMs: outcome.dataWaitMs,
    commMs: outcome.commMs,
    commExposedMs: outcome.commExposedMs,
    memoryBytes: process.memoryUsage.rss(),
  };
  parts.metrics.step(record, iteration % config.printFreq === 0);
}
