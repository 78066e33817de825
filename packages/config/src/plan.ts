// What a configuration amounts to: batches, steps, schedule, sizes. Pure; also the text of --dry-run.
import { SlipError } from '@slip/core';
import { countParameters, stateLayout } from '@slip/model/architecture';
import { modelOf, type RunConfig } from './run-config.js';
import type { TrainingConfig } from './training-config.js';

export interface Plan {
  readonly worldSize: number;
  readonly datasetSize: number;
  /** Rows per optimizer step, over all ranks and micro-batches. */
  readonly globalBatch: number;
  /** Micro-batches per epoch and rank. */
  readonly batchesPerEpoch: number;
  readonly stepsPerEpoch: number;
  /** Micro-batches at the end of each epoch that fill no step and are passed over. */
  readonly leftOverBatches: number;
  readonly totalSteps: number;
  readonly warmupSteps: number;
}

/** Rows of a micro-batch on each rank: they differ by at most one, and the first ranks have more. Pure. */
export function rowsOfRanks({ rowsPerMicroBatch: rows, numNodes, nprocPerNode }: TrainingConfig): number[] {
  const worldSize = numNodes * nprocPerNode;
  return Array.from({ length: worldSize }, (_, rank) => Math.ceil((rows - rank) / worldSize));
}

/** `4 x 16`, or where they differ `2 x 11 + 1 x 10`. */
export function describeRows(rows: readonly number[]): string {
  const [most, least] = [rows[0]!, rows.at(-1)!];
  const many = rows.filter((count) => count === most).length;
  return most === least ? `${rows.length} x ${most}` : `${many} x ${most} + ${rows.length - many} x ${least}`;
}

/** What the number of steps depends on; a task without warm-up has none of its settings. */
export type StepSettings = TrainingConfig & Partial<Pick<RunConfig, 'warmupSteps' | 'warmupEpochs'>>;

/**
 * @param keepLast a micro-batch at the end of an epoch that is not full counts too
 * @throws SlipError `config` when an epoch has no step, naming the numbers and flags
 */
export function planTraining(config: StepSettings, datasetSize: number, keepLast = false): Plan {
  const worldSize = config.numNodes * config.nprocPerNode;
  const rows = config.rowsPerMicroBatch;
  const whole = keepLast ? Math.ceil : Math.floor;
  const batchesPerEpoch =
    config.sampler === 'torch'
      ? whole(Math.ceil(datasetSize / worldSize) / (rows / worldSize))
      : whole(datasetSize / rows);
  const stepsPerEpoch = Math.floor(batchesPerEpoch / config.updateFreq);
  if (stepsPerEpoch === 0) {
    throw new SlipError(
      'config',
      `an epoch has no step: ${datasetSize} samples make ${batchesPerEpoch} micro-batches of ${rows} rows (${describeRows(rowsOfRanks(config))}), ` +
        `and --update-freq ${config.updateFreq} needs at least as many; lower --update-freq or --batch-size`,
    );
  }
  const totalSteps = config.epochs * stepsPerEpoch;
  const { warmupSteps: givenSteps = 0, warmupEpochs = 0 } = config;
  const warmupSteps = givenSteps > 0 ? givenSteps : warmupEpochs * stepsPerEpoch;
  if (warmupSteps > totalSteps) {
    throw new SlipError('config', `--warmup-steps ${givenSteps} is longer than the run of ${totalSteps} steps`);
  }
  return {
    worldSize,
    datasetSize,
    globalBatch: rows * config.updateFreq,
    batchesPerEpoch,
    stepsPerEpoch,
    leftOverBatches: batchesPerEpoch % config.updateFreq,
    totalSteps,
    warmupSteps,
  };
}

/** @param dataset how many samples, and where that is known from; undefined when it is not */
export function describePlan(config: RunConfig, dataset?: { readonly size: number; readonly source: string }): string {
  const model = modelOf(config);
  const parameters = countParameters(model);
  const decayed = stateLayout(model).entries.filter(({ decay }) => decay).length;
  const worldSize = config.numNodes * config.nprocPerNode;
  const rows: [string, string][] = [
    ['model', `${config.model}, ${thousands(parameters)} parameters (${decayed} tensors with weight decay)`],
    ['ranks', `${worldSize} = ${config.numNodes} node(s) x ${config.nprocPerNode}`],
    [
      'memory per rank',
      `${((parameters * 16) / 2 ** 30).toFixed(2)} GiB for parameters, gradients and moments, plus activations, which a run tells before its first step`,
    ],
    ['run folder', config.outputDir],
  ];
  if (dataset === undefined) {
    rows.push([
      'dataset',
      `${config.dataset} at ${config.root || '(no --root)'}: not readable here, so steps are not known`,
    ]);
    return table(rows);
  }
  const plan = planTraining(config, dataset.size);
  rows.push(
    ['dataset', `${config.dataset}, ${thousands(dataset.size)} samples (${dataset.source})`],
    [
      'global batch',
      `${thousands(plan.globalBatch)} = ${describeRows(rowsOfRanks(config))} rows x update-freq ${config.updateFreq}`,
    ],
    [
      'steps',
      `${thousands(plan.stepsPerEpoch)} per epoch, ${thousands(plan.totalSteps)} in all (${config.epochs} epochs)` +
        (plan.leftOverBatches > 0
          ? `; ${plan.leftOverBatches} left-over micro-batch(es) of each epoch are passed over`
          : ''),
    ],
    [
      'learning rate',
      `${config.lrStart} -> ${config.lr} in ${thousands(plan.warmupSteps)} steps of warm-up, then cosine to ${config.lrEnd}; weight decay ${config.wd}`,
    ],
  );
  if (config.maxSteps > 0) rows.push(['stops after', `${thousands(config.maxSteps)} steps (--max-steps)`]);
  return table(rows);
}

/** Names and values in two columns. */
export function table(rows: readonly [string, string][]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join('\n');
}

export function thousands(value: number): string {
  return value.toLocaleString('en-US');
}
