// What a run reports: one record a step, one a validation, one an epoch. Types and the metrics of each family, no output.

/** What is trained: the model families of the reference, and its two evaluations that train; each has metrics of its own. */
export type Family = 'CLIP' | 'SIMCLR' | 'SLIP' | 'LINEAR' | 'FINETUNE';

export interface StepRecord {
  /** Optimizer steps applied, this one included: from 1. */
  readonly step: number;
  /** From 0. */
  readonly epoch: number;
  /** Within the epoch, from 0. */
  readonly iteration: number;
  readonly lr: number;
  /** Whole loss, not divided by the number of accumulated micro-batches. */
  readonly loss: number;
  /** Percent, of a classifier on its training views. */
  readonly acc1?: number;
  readonly acc5?: number;
  readonly clip_loss?: number;
  /** Percent. */
  readonly clip_acc?: number;
  readonly ssl_loss?: number;
  /** Percent. */
  readonly ssl_acc?: number;
  /** Exponentiated; 0 or absent for SimCLR. */
  readonly logit_scale?: number;
  /** With loss scaling: the scale of this step, and how many were left out so far because gradients were not finite. */
  readonly loss_scale?: number;
  readonly skipped_steps?: number;
  /** Over all ranks. */
  readonly imagesPerSecond: number;
  /** Wall time of the step, milliseconds. */
  readonly stepMs: number;
  /** Of these, waiting for data. */
  readonly dataWaitMs: number;
  /** Collectives under way, milliseconds; some of it may be hidden behind the computation. */
  readonly commMs: number;
  /** Of the step, waiting for collectives. */
  readonly commExposedMs: number;
  /** Memory of this process. */
  readonly memoryBytes: number;
}

/** The share of communication behind which the step went on, 0 to 1; both in the same unit. */
export function hiddenShare(comm: number, exposed: number): number {
  return comm > 0 ? Math.max(0, 1 - exposed / comm) : 0;
}

/** Figures of a validation; `step` tells where on the curves it stands. Percents from 0 to 100. */
export type EvaluationRecord = { readonly step: number } & Readonly<Record<string, number>>;

/** What a checkpoint cost. */
export interface CheckpointRecord {
  /** The step that was saved. */
  readonly step: number;
  readonly bytes: number;
  /** How long the training stood still for it. */
  readonly stallMs: number;
  /** From the beginning until it was safe on disk. */
  readonly writeMs: number;
}

export type LossMetric = 'loss' | 'acc1' | 'acc5' | 'clip_loss' | 'ssl_loss' | 'clip_acc' | 'ssl_acc';

/** Metrics of a family in the reference's order. */
export const FAMILY_METRICS: Readonly<Record<Family, readonly LossMetric[]>> = {
  CLIP: ['loss', 'clip_loss', 'clip_acc'],
  SIMCLR: ['loss', 'ssl_loss', 'ssl_acc'],
  SLIP: ['loss', 'clip_loss', 'ssl_loss', 'clip_acc', 'ssl_acc'],
  LINEAR: ['acc1', 'acc5', 'loss'],
  FINETUNE: ['loss', 'acc1'],
};
