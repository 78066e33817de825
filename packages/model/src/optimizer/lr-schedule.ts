// Linear warm-up, then cosine (reference 4.2), as a function of the optimizer step.

export interface ScheduleOptions {
  readonly lr: number;
  readonly lrStart: number;
  readonly lrEnd: number;
  readonly epochs: number;
  readonly warmupEpochs: number;
  /** Overrides `warmupEpochs` when above 0. */
  readonly warmupSteps?: number;
  readonly stepsPerEpoch: number;
}

/**
 * @returns the learning rate of optimizer step k, counted from 0. Both ends of the warm-up are included, so its last step and
 *   the first of the cosine have the peak; the end value is approached, not reached.
 */
export function lrSchedule(options: ScheduleOptions): (step: number) => number {
  const { lr, lrStart, lrEnd, epochs, warmupEpochs, stepsPerEpoch } = options;
  const warmup =
    options.warmupSteps !== undefined && options.warmupSteps > 0 ? options.warmupSteps : warmupEpochs * stepsPerEpoch;
  const rest = epochs * stepsPerEpoch - warmup;
  return (step) => {
    if (step < warmup) return warmup === 1 ? lrStart : lrStart + ((lr - lrStart) * step) / (warmup - 1);
    return lrEnd + 0.5 * (lr - lrEnd) * (1 + Math.cos((Math.PI * (step - warmup)) / rest));
  };
}
