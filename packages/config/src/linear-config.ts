// The configuration of linear probing, and the learning rate that it amounts to.
import { SlipError } from '@slip/core';
import { LINEAR_FLAGS } from './linear-flags.js';
import { type ResolvedConfig, resolveTraining, type TaskInput, type TrainingTask } from './resolve.js';
import type { TrainingConfig } from './training-config.js';

/** Where labelled pictures are, in every task that needs them. */
export interface LabelledDataConfig {
  readonly dataset: string;
  readonly dataPath: string;
  readonly catalog: string;
  readonly root: string;
  readonly indexDir: string;
}

export interface LinearConfig extends TrainingConfig, LabelledDataConfig {
  readonly task: 'linear';
  readonly arch: string;
  readonly visionHeads?: number;
  readonly numClasses: number;
  readonly startEpoch: number;
  readonly lrRule: 'published' | 'reference' | 'total-batch';
  readonly momentum: number;
  readonly wd: number;
  readonly augment: boolean;
  readonly solver: 'recipe' | 'lbfgs' | 'sgd';
  /** Numbers as they were written. */
  readonly l2: readonly string[];
  readonly holdout: number;
  readonly maxIterations: number;
  readonly evaluate: boolean;
}

export const LINEAR: TrainingTask<LinearConfig> = {
  name: 'linear',
  flags: LINEAR_FLAGS,
  settle: () => undefined,
  check(config) {
    checkLabelled(config);
    if (config.pretrained === '')
      throw new SlipError('config', '--pretrained is missing: the weights, or the published model, that are probed');
    const wrong = config.l2.find((value) => !(Number(value) >= 0));
    if (wrong !== undefined || config.l2.length === 0)
      throw new SlipError('config', `--l2 ${wrong ?? ''}: numbers of at least 0 are wanted, such as 1e-4 1e-3`);
  },
  notices: ({ startEpoch }) =>
    startEpoch > 0 ? ['--start-epoch has no effect: a run continues where its folder says'] : [],
  warnings({ solver }, given) {
    const idle =
      solver === 'recipe'
        ? ['l2', 'holdout', 'max-iterations']
        : ['augment', 'wd', 'eval-freq', 'evaluate', 'precision'];
    return idle.filter((name) => given.has(name)).map((name) => `--${name} has no effect with --solver ${solver}`);
  },
};

/** @throws SlipError `config` or `unsupported`, naming the flag or the recipe's line */
export function resolveLinearConfig(input: TaskInput): Promise<ResolvedConfig<LinearConfig>> {
  return resolveTraining(LINEAR, input);
}

/** What every task on labelled pictures needs. @throws SlipError `config` or `unsupported` naming the flags */
export function checkLabelled(config: TrainingConfig & LabelledDataConfig): void {
  if (config.catalog === '' && config.dataPath === '' && config.root === '') {
    throw new SlipError(
      'config',
      `neither --catalog nor --root nor --data-path is given, so the set ${config.dataset} cannot be found; give ` +
        'dataset_catalog.json, the folder that slip-data prepare fills, or a folder with train/ and val/',
    );
  }
  if (config.compress === 'powersgd') {
    throw new SlipError('unsupported', '--compress powersgd is for pre-training; leave it out');
  }
}

/** The learning rate of the first epoch (reference 6.3; `published` gives 0.00625 for 1024 rows and --lr 0.1). */
export function initialLr(config: LinearConfig): number {
  const { lr, lrRule, batchSize, rowsPerMicroBatch, updateFreq, numNodes, nprocPerNode } = config;
  const rows = rowsPerMicroBatch * updateFreq;
  switch (lrRule) {
    case 'published':
      return (lr * rows) / 64 / 256;
    case 'reference':
      return (lr * Math.trunc(batchSize / (numNodes * nprocPerNode))) / 256;
    case 'total-batch':
      return (lr * rows) / 256;
    default:
      return lrRule satisfies never;
  }
}
