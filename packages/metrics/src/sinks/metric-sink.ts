// What every output of a run's metrics does; which ones there are is decided in run-metrics.ts.
import type { CheckpointRecord, EvaluationRecord, StepRecord } from '../step-record.js';

export interface MetricSink {
  /** For the warning when it fails. */
  readonly name: string;
  step(record: StepRecord): void;
  /** @param line keys and values as in `log.txt` @param step the epoch's last */
  epoch(line: Readonly<Record<string, number>>, step: number): void | Promise<void>;
  evaluation(record: EvaluationRecord): void;
  checkpoint(record: CheckpointRecord): void;
  close(): void | Promise<void>;
}
