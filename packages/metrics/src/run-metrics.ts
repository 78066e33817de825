// The metrics of a run as the training loop sees them, and what is opened for them.
import { mkdir } from 'node:fs/promises';
import type { Logger } from '@slip/core';
import { OpenRunMetrics } from './open-run-metrics.js';
import type { Progress } from './progress-text.js';
import { openConsole } from './sinks/console-sink.js';
import { openEpochLog } from './sinks/epoch-log.js';
import { openMetricsFile } from './sinks/metrics-file.js';
import { openWandb, type WandbOptions } from './sinks/wandb-sink.js';
import type { CheckpointRecord, EvaluationRecord, Family, StepRecord } from './step-record.js';
import { openTensorboard } from './tensorboard/tensorboard-sink.js';

export interface RunMetricsOptions {
  readonly runDir: string;
  /** Only rank 0 writes; for the others everything does nothing. */
  readonly enabled: boolean;
  /** Takes the state of the progress bar after every step; undefined where nobody draws one. */
  readonly showProgress?: (progress: Progress) => void;
  readonly totalSteps: number;
  readonly stepsPerEpoch: number;
  /** Steps already done; what earlier attempts recorded of later ones is removed. */
  readonly startStep: number;
  readonly family: Family;
  readonly log: Logger;
  readonly wandb?: WandbOptions;
}

/** What earlier attempts have recorded; zeros for nothing, and where metrics are not enabled. */
export interface EarlierAttempts {
  /** The last step that ended an epoch. */
  readonly lastEpochEnd: number;
  /** Highest top-1 of a validation, percent. */
  readonly bestAcc1: number;
}

export interface RunMetrics {
  readonly earlier: EarlierAttempts;
  /** @param print whether a plain line is due */
  step(record: StepRecord, print: boolean): void;
  /** @param summary `epoch`, and whatever of `train_*` and `test_*` is better known than by the means of the steps */
  epoch(summary: Readonly<Record<string, number>>): Promise<void>;
  evaluation(record: EvaluationRecord): void;
  checkpoint(record: CheckpointRecord): void;
  /** A line for people, through the log. */
  message(line: string): void;
  close(): Promise<void>;
}

/** What real runs take from their process. */
export interface RunMetricsEdges {
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** @throws the system's own error when the files of the run folder cannot be opened */
export async function createRunMetrics(
  options: RunMetricsOptions,
  edges: RunMetricsEdges = { now: Date.now },
): Promise<RunMetrics> {
  if (!options.enabled) return silentMetrics;
  const { runDir, startStep, stepsPerEpoch, log } = options;
  await mkdir(runDir, { recursive: true });
  const { sink: metricsFile, earlierSteps, earlier } = await openMetricsFile(runDir, startStep, edges.now);
  const sinks = [
    metricsFile,
    await openEpochLog(runDir, { startStep, stepsPerEpoch }),
    openTensorboard(runDir, startStep, edges.now),
  ];
  if (options.wandb !== undefined) sinks.push(openWandb(runDir, options.wandb, log));
  const watched = openConsole({ ...options, showProgress: options.showProgress });
  const metrics = new OpenRunMetrics(options, sinks, watched, earlier);
  for (const record of earlierSteps)
    if (record.epoch === Math.floor((startStep - 1) / stepsPerEpoch)) metrics.remember(record);
  return metrics;
}

const silentMetrics: RunMetrics = {
  earlier: { lastEpochEnd: 0, bestAcc1: 0 },
  step: () => undefined,
  epoch: () => Promise.resolve(),
  evaluation: () => undefined,
  checkpoint: () => undefined,
  message: () => undefined,
  close: () => Promise.resolve(),
};
