// The metrics of a run: takes records from the training loop and gives each to the console and to every file. An output
// that fails is dropped with one warning; metrics never stop a training.
import { mkdir } from 'node:fs/promises';
import type { Logger } from '@slip/core';
import { consoleMeters } from './console-line.js';
import { epochLine } from './epoch-line.js';
import { EpochMeans } from './epoch-means.js';
import { type Console, openConsole } from './sinks/console-sink.js';
import { openEpochLog } from './sinks/epoch-log.js';
import type { MetricSink } from './sinks/metric-sink.js';
import { openMetricsFile } from './sinks/metrics-file.js';
import { openWandb, type WandbOptions } from './sinks/wandb-sink.js';
import { type EvaluationRecord, FAMILY_METRICS, type Family, type StepRecord } from './step-record.js';
import { openTensorboard } from './tensorboard/tensorboard-sink.js';

export interface RunMetricsOptions {
  readonly runDir: string;
  /** Only rank 0 writes; for the others everything does nothing. */
  readonly enabled: boolean;
  /** Draw a progress bar on standard error instead of printing lines. */
  readonly terminal: boolean;
  readonly totalSteps: number;
  readonly stepsPerEpoch: number;
  /** Steps already done; what earlier attempts recorded of later ones is removed. */
  readonly startStep: number;
  readonly family: Family;
  readonly log: Logger;
  readonly wandb?: WandbOptions;
}

export interface RunMetrics {
  /** @param print whether a plain line is due */
  step(record: StepRecord, print: boolean): void;
  /** @param summary `epoch`, and whatever of `train_*` and `test_*` is better known than by the means of the steps */
  epoch(summary: Readonly<Record<string, number>>): Promise<void>;
  evaluation(record: EvaluationRecord): void;
  /** Printed above the progress bar, or logged. */
  message(line: string): void;
  close(): Promise<void>;
}

/** What real runs take from their process. */
export interface RunMetricsEdges {
  readonly terminal: NodeJS.WriteStream;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** @throws the system's own error when the files of the run folder cannot be opened */
export async function createRunMetrics(
  options: RunMetricsOptions,
  edges: RunMetricsEdges = { terminal: process.stderr, now: Date.now },
): Promise<RunMetrics> {
  if (!options.enabled) return silentMetrics;
  const { runDir, startStep, stepsPerEpoch, log } = options;
  await mkdir(runDir, { recursive: true });
  const { sink: metricsFile, earlierSteps } = await openMetricsFile(runDir, startStep, edges.now);
  const sinks = [
    metricsFile,
    await openEpochLog(runDir, { startStep, stepsPerEpoch }),
    openTensorboard(runDir, startStep, edges.now),
  ];
  if (options.wandb !== undefined) sinks.push(openWandb(runDir, options.wandb, log));
  const watched = openConsole({ ...options, terminal: options.terminal ? edges.terminal : undefined });
  const metrics = new OpenRunMetrics(options, sinks, watched);
  for (const record of earlierSteps)
    if (record.epoch === Math.floor(startStep / stepsPerEpoch)) metrics.remember(record);
  return metrics;
}

class OpenRunMetrics implements RunMetrics {
  private readonly options: RunMetricsOptions;
  private readonly console: Console;
  private readonly means = new EpochMeans();
  private sinks: readonly MetricSink[];
  private last: StepRecord | undefined;

  constructor(options: RunMetricsOptions, sinks: readonly MetricSink[], console: Console) {
    this.options = options;
    this.sinks = sinks;
    this.console = console;
  }

  /** Counts a step towards the means without reporting it. */
  remember(record: StepRecord): void {
    if (this.last !== undefined && this.last.epoch !== record.epoch) this.means.clear();
    this.last = record;
    const losses = FAMILY_METRICS[this.options.family].map((name) => [name, record[name]] as const);
    this.means.add({ ...Object.fromEntries(losses), ...consoleMeters(record) });
  }

  step(record: StepRecord, print: boolean): void {
    this.remember(record);
    this.attempt((sink) => sink.step(record));
    this.console.step(record, this.means, print);
  }

  async epoch(summary: Readonly<Record<string, number>>): Promise<void> {
    const line = epochLine(summary, this.options.family, this.means, this.last);
    const step = (summary.epoch + 1) * this.options.stepsPerEpoch;
    const sinks = this.sinks;
    for (const sink of sinks) await this.guard(sink, () => sink.epoch(line, step));
    this.means.clear();
  }

  evaluation(record: EvaluationRecord): void {
    this.attempt((sink) => sink.evaluation(record));
  }

  message(line: string): void {
    this.console.message(line);
  }

  async close(): Promise<void> {
    this.console.close();
    const sinks = this.sinks;
    for (const sink of sinks) await this.guard(sink, () => sink.close());
    this.sinks = [];
  }

  private attempt(act: (sink: MetricSink) => void): void {
    const sinks = this.sinks;
    for (const sink of sinks) {
      try {
        act(sink);
      } catch (error) {
        this.giveUp(sink, error);
      }
    }
  }

  private async guard(sink: MetricSink, act: () => void | Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      this.giveUp(sink, error);
    }
  }

  private giveUp(sink: MetricSink, error: unknown): void {
    this.sinks = this.sinks.filter((other) => other !== sink);
    const reason = error instanceof Error ? error.message : String(error);
    this.options.log.warn(`${sink.name} failed (${reason}); training goes on without it`);
  }
}

const silentMetrics: RunMetrics = {
  step: () => undefined,
  epoch: () => Promise.resolve(),
  evaluation: () => undefined,
  message: () => undefined,
  close: () => Promise.resolve(),
};
