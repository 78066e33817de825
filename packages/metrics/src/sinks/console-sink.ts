// Where people watch: a progress bar on a terminal, or the reference's plain lines through the log.
import type { Logger } from '@slip/core';
import { consoleLine } from '../console-line.js';
import type { EpochMeans } from '../epoch-means.js';
import type { Family, StepRecord } from '../step-record.js';
import { ProgressBar } from './progress-bar.js';

export interface Console {
  /** @param print whether a plain line is due; a bar moves at every step */
  step(record: StepRecord, means: EpochMeans, print: boolean): void;
  message(line: string): void;
  close(): void;
}

export function openConsole(options: {
  /** The terminal to draw on; undefined for plain lines. */
  terminal: NodeJS.WriteStream | undefined;
  log: Logger;
  family: Family;
  totalSteps: number;
  stepsPerEpoch: number;
  startStep: number;
}): Console {
  const { terminal, log } = options;
  if (terminal === undefined) {
    return {
      step(record, means, print) {
        if (print) log.info(consoleLine(record, means, options));
      },
      message: (line) => log.info(line),
      close: () => undefined,
    };
  }
  const bar = new ProgressBar(terminal, options);
  return {
    step: (record) => bar.step(record),
    message: (line) => bar.message(line),
    close: () => bar.close(),
  };
}

export const silentConsole: Console = { step: () => undefined, message: () => undefined, close: () => undefined };
