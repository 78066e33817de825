// What people read while it runs: the reference's plain lines through the log, and the state of a progress bar.
import type { Logger } from '@slip/core';
import { consoleLine } from '../console-line.js';
import type { EpochMeans } from '../epoch-means.js';
import { type Progress, ProgressMeter } from '../progress-text.js';
import type { Family, StepRecord } from '../step-record.js';

export interface Console {
  /** @param print whether a plain line is due; a bar moves at every step */
  step(record: StepRecord, means: EpochMeans, print: boolean): void;
  message(line: string): void;
}

export function openConsole(options: {
  /** Takes the state of the bar after every step; undefined where nobody draws one. */
  showProgress: ((progress: Progress) => void) | undefined;
  log: Logger;
  family: Family;
  totalSteps: number;
  stepsPerEpoch: number;
  startStep: number;
}): Console {
  const { showProgress, log } = options;
  const meter = new ProgressMeter(options);
  return {
    step(record, means, print) {
      if (print) log.info(consoleLine(record, means, options));
      showProgress?.(meter.step(record));
    },
    message: (line) => log.info(line),
  };
}
