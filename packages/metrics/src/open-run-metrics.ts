// Gives each record of the training loop to the console and to every output. An output that fails is dropped with one
// warning; metrics never stop a training. What outputs there are is run-metrics.ts' business.
import { consoleMeters } from './console-line.js';
import { epochLine } from './epoch-line.js';
import { EpochMeans } from './epoch-means.js';
import type { EarlierAttempts, RunMetrics, RunMetricsOptions } from './run-metrics.js';
import type { Console } from './sinks/console-sink.js';
import type { MetricSink } from './sinks/metric-sink.js';
import { type CheckpointRecord, type EvaluationRecord, FAMILY_METRICS, type StepRecord } from './step-record.js';

export class OpenRunMetrics implements RunMetrics {
  readonly earlier: EarlierAttempts;
  private readonly options: RunMetricsOptions;
  private readonly console: Console;
  private readonly means = new EpochMeans();
  private sinks: readonly MetricSink[];
  private last: StepRecord | undefined;

  constructor(options: RunMetricsOptions, sinks: readonly MetricSink[], console: Console, earlier: EarlierAttempts) {
    this.earlier = earlier;
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

  checkpoint(record: CheckpointRecord): void {
    this.attempt((sink) => sink.checkpoint(record));
  }

  message(line: string): void {
    this.console.message(line);
  }

  async close(): Promise<void> {
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
