// What stands beside the progress bar: where the run is, how long it still takes, how it does. Drawing is the launcher's part.
import { hiddenShare, type StepRecord } from './step-record.js';

/** Weight of the newest step in the shown speed and remaining time. */
const NEWEST = 0.1;

export interface Progress {
  /** 0 to 1 */
  readonly share: number;
  readonly text: string;
}

export interface ProgressOptions {
  readonly totalSteps: number;
  readonly stepsPerEpoch: number;
  readonly startStep: number;
}

/** Turns the records of a run into what a bar shows, with the speed smoothed over steps. */
export class ProgressMeter {
  private readonly options: ProgressOptions;
  private stepMs: number | undefined;

  constructor(options: ProgressOptions) {
    this.options = options;
  }

  step(record: StepRecord): Progress {
    this.stepMs = this.stepMs === undefined ? record.stepMs : this.stepMs + NEWEST * (record.stepMs - this.stepMs);
    return {
      share: record.step / Math.max(1, this.options.totalSteps),
      text: progressText(record, this.stepMs, this.options),
    };
  }
}

/** Most important first, because narrow terminals cut it. */
export function progressText(record: StepRecord, stepMs: number, options: ProgressOptions): string {
  const remaining = ((options.totalSteps - record.step) * stepMs) / 1000;
  const waiting = record.stepMs > 0 ? (100 * record.dataWaitMs) / record.stepMs : 0;
  return [
    `step ${record.step}/${options.totalSteps}`,
    `ETA ${duration(remaining)}`,
    `loss ${record.loss.toFixed(3)}`,
    `${record.imagesPerSecond.toFixed(record.imagesPerSecond < 10 ? 1 : 0)} img/s`,
    `data wait ${waiting.toFixed(0)}%`,
    `epoch ${record.epoch}`,
    ...(record.commMs > record.commExposedMs
      ? [`communication hidden ${(100 * hiddenShare(record.commMs, record.commExposedMs)).toFixed(0)}%`]
      : []),
  ].join('  ');
}

/** `42s`, `3m07s`, `5h02m`, `2d04h`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  const whole = Math.max(0, Math.round(seconds));
  const two = (value: number) => String(value).padStart(2, '0');
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)}h${two(Math.floor((whole % 3600) / 60))}m`;
  return `${Math.floor(whole / 86_400)}d${two(Math.floor((whole % 86_400) / 3600))}h`;
}
