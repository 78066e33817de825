// The configuration of end-to-end fine-tuning, and what has to fit together in it.
import { nearestName, SlipError } from '@slip/core';
import { FINETUNE_FLAGS } from './finetune-flags.js';
import { checkLabelled, type LabelledDataConfig } from './linear-config.js';
import { type ResolvedConfig, resolveTraining, type TaskInput, type TrainingTask } from './resolve.js';
import type { TrainingConfig } from './training-config.js';

export interface FinetuneConfig extends TrainingConfig, LabelledDataConfig {
  readonly task: 'finetune';
  readonly dataSet: 'IMNET' | 'image_folder' | 'CIFAR';
  readonly evalDataPath: string;
  readonly nbClasses: number;
  readonly imagenetDefaultMeanAndStd: boolean;
  readonly model: string;
  readonly inputSize?: number;
  readonly patchSize?: number;
  readonly visionWidth?: number;
  readonly visionDepth?: number;
  readonly visionHeads?: number;
  readonly disableRelPosBias: boolean;
  readonly absPosEmb: boolean;
  readonly layerScaleInitValue: number;
  readonly useCls: boolean;
  readonly initScale: number;
  readonly drop: number;
  readonly attnDropRate: number;
  readonly dropPath: number;
  readonly warmupEpochs: number;
  readonly warmupSteps: number;
  readonly opt: 'adamw';
  readonly minLr: number;
  readonly layerDecay: number;
  readonly weightDecay: number;
  readonly weightDecayEnd?: number;
  readonly disableWeightDecayOnRelPosBias: boolean;
  readonly optBetas?: readonly [number, number];
  readonly optEps: number;
  readonly clipGrad?: number;
  readonly modelEma: boolean;
  readonly modelEmaDecay: number;
  readonly augment: boolean;
  readonly aa: string;
  readonly colorJitter: number;
  readonly trainInterpolation: 'bicubic' | 'bilinear';
  readonly cropPct?: number;
  readonly reprob: number;
  readonly remode: 'pixel' | 'rand' | 'const';
  readonly recount: number;
  readonly smoothing: number;
  readonly mixup: number;
  readonly cutmix: number;
  readonly cutmixMinmax?: readonly [number, number];
  readonly mixupProb: number;
  readonly mixupSwitchProb: number;
  readonly mixupMode: 'batch' | 'pair' | 'elem';
  /** Rows that are mixed with each other; `batchSize` of the first attempt unless given. */
  readonly mixupGroup: number;
  readonly evaluate: boolean;
  readonly disableEvalDuringFinetuning: boolean;
  readonly relPosBias: boolean;
  readonly useMeanPooling: boolean;
}

/** Sizes of a registered model (reference 1.6). */
export interface FinetuneSizes {
  readonly inputSize: number;
  readonly patchSize: number;
  readonly width: number;
  readonly depth: number;
  readonly heads: number;
}

const TOWERS: Readonly<Record<string, Omit<FinetuneSizes, 'inputSize'>>> = {
  small: { patchSize: 16, width: 384, depth: 12, heads: 12 },
  base: { patchSize: 16, width: 768, depth: 12, heads: 12 },
  large: { patchSize: 16, width: 1024, depth: 24, heads: 16 },
};

const MODELS: Readonly<Record<string, readonly [tower: string, inputSize: number]>> = {
  beit_small_patch16_224: ['small', 224],
  beit_base_patch16_224: ['base', 224],
  beit_base_patch16_384: ['base', 384],
  beit_large_patch16_224: ['large', 224],
  beit_large_patch16_384: ['large', 384],
  beit_large_patch16_512: ['large', 512],
};

export const FINETUNE: TrainingTask<FinetuneConfig> = {
  name: 'finetune',
  flags: FINETUNE_FLAGS,
  settle(values) {
    if (values.mixupGroup === 0) values.mixupGroup = values.batchSize;
    if (values.disableEvalDuringFinetuning === true) values.evalFreq = values.epochs;
  },
  check: checkFinetune,
  notices: () => [],
  warnings: finetuneWarnings,
};

/** @throws SlipError `config` or `unsupported`, naming the flag or the recipe's line */
export function resolveFinetuneConfig(input: TaskInput): Promise<ResolvedConfig<FinetuneConfig>> {
  return resolveTraining(FINETUNE, input);
}

/** The tower's sizes: those of the registered model unless given. @throws SlipError `config` for an unknown model */
export function finetuneSizes(config: FinetuneConfig): FinetuneSizes {
  const found = MODELS[config.model];
  if (found === undefined) {
    const nearest = nearestName(config.model, Object.keys(MODELS));
    const hint = nearest === undefined ? `there are ${Object.keys(MODELS).join(', ')}` : `did you mean ${nearest}?`;
    throw new SlipError('config', `--model ${config.model} is not known; ${hint}`);
  }
  const [tower, inputSize] = found;
  const usual = TOWERS[tower];
  return {
    inputSize: config.inputSize ?? inputSize,
    patchSize: config.patchSize ?? usual.patchSize,
    width: config.visionWidth ?? usual.width,
    depth: config.visionDepth ?? usual.depth,
    heads: config.visionHeads ?? usual.heads,
  };
}

/** Whether rows are mixed with each other. */
export function mixes({ augment, mixup, cutmix, cutmixMinmax }: FinetuneConfig): boolean {
  return augment && (mixup > 0 || cutmix > 0 || cutmixMinmax !== undefined);
}

function checkFinetune(config: FinetuneConfig): void {
  checkLabelled(config);
  const { inputSize, patchSize, width, heads } = finetuneSizes(config);
  if (inputSize % patchSize !== 0)
    throw new SlipError('config', `--input-size ${inputSize} is not a multiple of --patch-size ${patchSize}`);
  if (width % heads !== 0)
    throw new SlipError('config', `--vision-width ${width} is not a multiple of --vision-heads ${heads}`);
  for (const [flag, value] of [
    ['drop', config.drop],
    ['attn-drop-rate', config.attnDropRate],
  ] as const) {
    if (value !== 0)
      throw new SlipError('unsupported', `--${flag} ${value}: dropout is not there; the published recipes have 0`);
  }
  if (config.dataSet === 'CIFAR')
    throw new SlipError(
      'unsupported',
      '--data-set CIFAR: write the pictures into folders, and give them as --data-path',
    );
  if (config.dataSet === 'image_folder' && config.evalDataPath === '')
    throw new SlipError('config', '--data-set image_folder needs --eval-data-path, the folder of validation pictures');
  if (config.warmupSteps <= 0 && config.warmupEpochs > config.epochs)
    throw new SlipError('config', `--warmup-epochs ${config.warmupEpochs} is longer than --epochs ${config.epochs}`);
  if (mixes(config)) checkGroups(config);
}

/** Groups are mirrored, so each needs a partner for every row; an odd one's middle row would meet itself. */
function checkGroups({ rowsPerMicroBatch: rows, mixupGroup: group }: FinetuneConfig): void {
  if (group % 2 === 0 && rows % group === 0) return;
  throw new SlipError(
    'config',
    `--mixup-group ${group}: ${rows} rows per micro-batch have to be a whole number of groups of an even number of rows; ` +
      'choose --batch-size or --mixup-group so that they are',
  );
}

function finetuneWarnings(config: FinetuneConfig, given: ReadonlySet<string>): string[] {
  const mixing = mixes(config) ? [] : ['mixup-prob', 'mixup-switch-prob', 'mixup-mode', 'mixup-group'];
  const off = config.augment ? [] : ['aa', 'reprob', 'mixup', 'cutmix', 'color-jitter'];
  const idle = [...mixing.map((name) => [name, 'mixing']), ...off.map((name) => [name, '--augment'])];
  const notes = idle
    .filter(([name]) => given.has(name))
    .map(([name, what]) => `--${name} has no effect without ${what}`);
  if (given.has('color-jitter') && config.augment && config.aa !== 'none' && config.aa !== '')
    notes.push('--color-jitter has no effect with --aa, as in the original');
  return notes;
}
