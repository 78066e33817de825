// The configuration of a pre-training run, and what has to fit together in it.
import { nearestName, SlipError } from '@slip/core';
import { type Activation, MODEL_NAMES, type ModelConfig, resolveModel } from '@slip/model/architecture';
import { PRETRAIN_FLAGS } from './flags.js';
import { type ResolvedConfig, resolveTraining, type TaskInput, type TrainingTask } from './resolve.js';
import { checkTraining, type TrainingConfig } from './training-config.js';

/** Camel-case keys of the flag table; a test keeps the two equal. */
export interface RunConfig extends TrainingConfig {
  readonly task?: never;
  readonly dataset: string;
  readonly root: string;
  readonly metadata: string;
  readonly csvImgKey: string;
  readonly csvCaptionKey: string;
  readonly indexDir: string;
  readonly truncate: 'keep-eot' | 'drop-eot';
  readonly transforms: 'fast' | 'exact';
  readonly model: string;
  readonly sslMlpDim: number;
  readonly sslEmbDim: number;
  readonly imageSize?: number;
  readonly patchSize?: number;
  readonly visionWidth?: number;
  readonly visionDepth?: number;
  readonly visionHeads?: number;
  readonly visionPreNorm?: boolean;
  readonly patchBias?: boolean;
  readonly visionActivation?: Activation;
  readonly visionNormEps?: number;
  readonly textWidth?: number;
  readonly textDepth?: number;
  readonly textHeads?: number;
  readonly textActivation?: Activation;
  readonly contextLength?: number;
  readonly embedDim?: number;
  readonly sslScale: number;
  readonly sslTemp: number;
  readonly gather: 'full' | 'query-only';
  readonly warmupEpochs: number;
  readonly warmupSteps: number;
  readonly startEpoch: number;
  readonly lrStart: number;
  readonly lrEnd: number;
  readonly wd: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly evaluate: boolean;
  readonly valDataset: string;
  readonly catalog: string;
  readonly labels: string;
  readonly templates: string;
}

/** Pre-training as a task that trains. */
export const PRETRAIN: TrainingTask<RunConfig> = {
  name: 'pretrain',
  flags: PRETRAIN_FLAGS,
  settle(values, given) {
    // The default is the name of one set's file.
    if (values.dataset !== 'yfcc15m' && !given.has('metadata')) values.metadata = '';
  },
  check: checkTogether,
  notices,
  warnings,
};

/** @throws SlipError `config` or `unsupported`, naming the flag or the recipe's line */
export function resolvePretrainConfig(input: TaskInput): Promise<ResolvedConfig<RunConfig>> {
  return resolveTraining(PRETRAIN, input);
}

/** The model with the run's own sizes. @throws SlipError `config` naming the flag that does not fit */
export function modelOf(config: RunConfig): ModelConfig {
  return resolveModel(config.model, config);
}

/** What only makes sense together. @throws SlipError `config` or `unsupported` naming the flags */
function checkTogether(config: RunConfig): void {
  if (!MODEL_NAMES.includes(config.model)) {
    const nearest = nearestName(config.model.toUpperCase(), MODEL_NAMES);
    const hint = nearest === undefined ? `there are ${MODEL_NAMES.join(', ')}` : `did you mean ${nearest}?`;
    throw new SlipError('config', `--model ${config.model} is not known; ${hint}`);
  }
  modelOf(config);
  checkTraining(config);
  if (config.resume !== '' && config.pretrained !== '') {
    throw new SlipError(
      'config',
      '--resume continues a run and --pretrained starts one from weights; give one of them',
    );
  }
  if (config.lrStart > config.lr) {
    throw new SlipError(
      'config',
      `--lr-start ${config.lrStart} is above --lr ${config.lr}; the warm-up rises from one to the other`,
    );
  }
  if (config.warmupSteps === 0 && config.warmupEpochs > config.epochs) {
    throw new SlipError('config', `--warmup-epochs ${config.warmupEpochs} is longer than --epochs ${config.epochs}`);
  }
  if (config.startEpoch >= config.epochs) {
    throw new SlipError('config', `--start-epoch ${config.startEpoch} is not below --epochs ${config.epochs}`);
  }
}

function notices(config: RunConfig): string[] {
  return config.startEpoch > 0 ? ['--start-epoch has no effect: a run continues where its folder says'] : [];
}

/** Settings that change nothing in this run. */
function warnings(config: RunConfig, given: ReadonlySet<string>): string[] {
  const family = modelOf(config).family;
  const idle: Record<string, readonly string[]> = {
    CLIP: ['ssl-mlp-dim', 'ssl-emb-dim', 'ssl-scale', 'ssl-temp'],
    SIMCLR: [
      'ssl-scale',
      'gather',
      'truncate',
      'text-width',
      'text-depth',
      'text-heads',
      'text-activation',
      'context-length',
      'embed-dim',
      'catalog',
    ],
    SLIP: [],
  };
  return idle[family].filter((name) => given.has(name)).map((name) => `--${name} has no effect with ${config.model}`);
}
