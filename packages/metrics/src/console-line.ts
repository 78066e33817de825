// The console line of the reference (`Epoch: [e][ it/iters]` and `Name value (mean)` meters, tabs between), in pure text.
import type { EpochMeans } from './epoch-means.js';
import { FAMILY_METRICS, type Family, type StepRecord } from './step-record.js';

/** What is averaged per step for the console, besides the losses. */
export function consoleMeters(record: StepRecord): Record<string, number> {
  return {
    time: record.stepMs / 1000,
    data: record.dataWaitMs / 1000,
    memory: record.memoryBytes / 1e9,
  };
}

/** @param means of the epoch so far, this step included */
export function consoleLine(
  record: StepRecord,
  means: EpochMeans,
  options: { family: Family; stepsPerEpoch: number },
): string {
  const width = String(options.stepsPerEpoch).length;
  const meters = consoleMeters(record);
  const both = (name: string, value: number, mean: number, text: (value: number) => string) =>
    `${name} ${text(value)} (${text(mean)})`;
  return [
    `Epoch: [${record.epoch}][${String(record.iteration).padStart(width)}/${options.stepsPerEpoch}]`,
    both('Time', meters.time, means.mean('time'), seconds),
    both('Data', meters.data, means.mean('data'), seconds),
    both('Mem (GB)', meters.memory, means.mean('memory'), (value) => value.toFixed(1).padStart(6)),
    ...FAMILY_METRICS[options.family].map((name) =>
      both(name, record[name] ?? Number.NaN, means.mean(name), exponential),
    ),
    `lr ${exponential(record.lr)}`,
    `img/s ${record.imagesPerSecond.toFixed(1)}`,
  ].join('\t');
}

function seconds(value: number): string {
  return value.toFixed(2).padStart(6);
}

/** C's `%.2e`: at least two digits of exponent. */
export function exponential(value: number): string {
  return value.toExponential(2).replace(/e([+-])(\d)$/, 'e$10$2');
}
