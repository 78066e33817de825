// The task finetune: end-to-end training of a classifier by BEiT's recipe (reference 6.4), for the training that all tasks have.
import { type FinetuneConfig, finetuneSizes, mixes, planTraining, scalesLoss } from '@slip/config';
import { SlipError } from '@slip/core';
import { type LabelledAugmentation, type LabelledView, parseRandAugment, type TrainLoaderOptions } from '@slip/data';
import { finetuneStep, lrSchedule, mixRows } from '@slip/model';
import { type ClassifierConfig, finetuneLayout, type VisionTransformerConfig } from '@slip/model/architecture';
import type { LanePlan } from '../pretrain/lanes.js';
import { adamWOptimizer, type Optimizer, withAverage } from '../pretrain/optimizer.js';
import { runTraining, type TaskPlace, type TrainingParts, type WorkerContext } from '../pretrain/run-training.js';
import type { TrainState } from '../pretrain/train-state.js';
import type { TrainOutcome } from '../pretrain/trainer.js';
import { classifierValidation } from './classifier-validation.js';
import { feedFinetune } from './finetune-feed.js';
import { type LabelledImages, openLabelledImages } from './labelled-images.js';
import { publishedNote } from './published-note.js';
import { loadTower, towerOf, withWeights } from './tower-weights.js';

/** The whole life of a worker of fine-tuning. */
export function runFinetune(context: WorkerContext<FinetuneConfig>): Promise<TrainOutcome> {
  return runTraining(context, (place) => finetuneParts(context.config, place));
}

async function finetuneParts(config: FinetuneConfig, place: TaskPlace): Promise<TrainingParts> {
  const { group, threads } = place;
  const images = await openLabelledImages(config, config.nbClasses, 'nb-classes');
  const classifier: ClassifierConfig = {
    vision: await towerFor(config, place.cacheFolder),
    numClasses: images.numClasses,
    pooling: config.useCls ? 'cls' : 'mean',
    absolutePositions: config.absPosEmb,
    relativePositions: !config.disableRelPosBias,
    layerScale: config.layerScaleInitValue,
  };
  const layout = finetuneLayout(classifier, {
    layerDecay: config.layerDecay,
    decayRelativePositions: !config.disableWeightDecayOnRelPosBias,
    initScale: config.initScale,
  });
  const view = validationView(config, classifier);
  const note = await publishedNote('finetuned', config.pretrained, place.cacheFolder, images.validation);
  const { dataset, clipGrad, epochs, lr, minLr, warmupEpochs, warmupSteps, evaluate } = config;
  return {
    title: `fine-tuning of ${config.model} on ${dataset}: ${images.numClasses} classes, ${layout.parameterCount.toLocaleString('en')} parameters`,
    metrics: 'FINETUNE',
    metricNames: ['loss', 'acc1'],
    layout,
    optimizer: ({ totalSteps }) => optimizerOf(config, totalSteps),
    ...(clipGrad === undefined ? {} : { clipGrad }),
    validation: classifierValidation({
      ...{ task: 'finetune', dataset, images: images.validation, view, classifier, layout, group, threads, note },
    }),
    evaluate,
    loaderOptions: (plan, rank) => loaderOptions(config, images, view, classifier, plan, rank),
    plan: (datasetSize) => planTraining({ ...config, warmupSteps: Math.max(0, warmupSteps) }, datasetSize),
    learningRate: ({ stepsPerEpoch }) =>
      lrSchedule({ lr, lrStart: 0, lrEnd: minLr, epochs, warmupEpochs, warmupSteps, stepsPerEpoch }),
    step: ({ rows }, rank) =>
      finetuneStep(classifier, layout, {
        rows: rows[rank],
        extraRows: extraRowsOf(config, rows, rank).length,
        mixes: mixes(config),
        dropsPaths: config.dropPath > 0,
        scaledLoss: scalesLoss(config),
      }),
    feed: (executor, plan, rank) => feedFinetune(executor, plan, rank, config, classifier),
    begin: (state) => beginFresh(config, state, place),
  };
}

/** The registered sizes, with what the weights say of the rest. @throws SlipError `config` when they do not fit */
async function towerFor(config: FinetuneConfig, cacheFolder: string): Promise<VisionTransformerConfig> {
  const { inputSize: imageSize, patchSize, width, depth, heads } = finetuneSizes(config);
  const plain = { preNorm: false, patchBias: true, activation: 'gelu', normEps: 1e-6 } as const;
  const wanted: VisionTransformerConfig = { kind: 'vit', imageSize, patchSize, width, depth, heads, ...plain };
  if (config.pretrained === '') return wanted;
  const found = await withWeights(config.pretrained, cacheFolder, (weights) => towerOf(weights, { heads }));
  const sizes = [
    ['patch-size', found.patchSize, patchSize],
    ['vision-width', found.width, width],
    ['vision-depth', found.depth, depth],
  ] as const;
  for (const [flag, inFile, inModel] of sizes) {
    if (inFile === inModel) continue;
    throw new SlipError(
      'config',
      `${config.pretrained} has --${flag} ${inFile}, --model ${config.model} has ${inModel}; choose the model that fits, or pass ` +
        `--${flag} ${inFile}`,
    );
  }
  return { ...found, imageSize };
}

/** Weight decay follows a cosine where its end is another. */
function optimizerOf(config: FinetuneConfig, totalSteps: number): Optimizer {
  const { optBetas: betas = [0.9, 0.999] as const, optEps: eps, modelEma, modelEmaDecay } = config;
  const { weightDecay: from, weightDecayEnd: to = from } = config;
  const weightDecay = (step: number) => to + 0.5 * (from - to) * (1 + Math.cos((Math.PI * step) / totalSteps));
  const adamW = adamWOptimizer({ betas, eps, weightDecay: from === to ? from : weightDecay });
  return modelEma ? withAverage(adamW, modelEmaDecay) : adamW;
}

function validationView(config: FinetuneConfig, { vision }: ClassifierConfig): LabelledView {
  const share = config.cropPct ?? (vision.imageSize < 384 ? 224 / 256 : 1);
  return {
    filter: config.trainInterpolation,
    normalisation: config.imagenetDefaultMeanAndStd ? 'imagenet' : 'half',
    resizeTo: Math.trunc(vision.imageSize / share),
  };
}

function augmentationOf({ aa, colorJitter, reprob, remode, recount }: FinetuneConfig): LabelledAugmentation {
  const randAugment = parseRandAugment(aa);
  return {
    ...(randAugment === undefined ? { colourJitter: colorJitter } : { randAugment }),
    ...(reprob > 0 ? { erasing: { probability: reprob, mode: remode, count: recount } } : {}),
  };
}

/** Places in the micro-batch that a rank loads beside its own to mix them. */
function extraRowsOf(config: FinetuneConfig, rows: readonly number[], rank: number): readonly number[] {
  if (!mixes(config)) return [];
  const first = rows.slice(0, rank).reduce((sum, own) => sum + own, 0);
  return mixRows(first, rows[rank], config.mixupGroup).extraRows;
}

function loaderOptions(
  config: FinetuneConfig,
  { train }: LabelledImages,
  view: LabelledView,
  { vision }: ClassifierConfig,
  { rows }: LanePlan,
  rank: number,
): TrainLoaderOptions {
  const { seed, sampler, workers, prefetchMb, badSamples, augment } = config;
  const extraRows = extraRowsOf(config, rows, rank);
  if (sampler === 'torch' && extraRows.length > 0) {
    throw new SlipError(
      'config',
      `--sampler torch with --mixup-group ${config.mixupGroup}: rows of other ranks would be mixed in, which only --sampler slip ` +
        'can load; use a group that divides the rows of each rank',
    );
  }
  return {
    dataset: train,
    views: ['image'],
    labelled: augment ? { ...view, augment: augmentationOf(config) } : view,
    ...{ imageSize: vision.imageSize, contextLength: 0, truncate: 'keep-eot', transforms: 'exact' },
    ...{ rank, rows, seed, sampler, workers, badSamples, extraRows, prefetchBytes: prefetchMb * 1e6 },
  };
}

async function beginFresh(config: FinetuneConfig, state: TrainState, { group, log, cacheFolder }: TaskPlace) {
  const first = group.rank === 0 ? log : undefined;
  if (config.pretrained === '') {
    if (config.evaluate) {
      throw new SlipError('checkpoint', `--evaluate needs a checkpoint: none in ${config.outputDir} and no --resume`);
    }
    first?.warn('no --finetune: the tower begins as initialised');
  } else {
    await withWeights(config.pretrained, cacheFolder, (weights) => loadTower(weights, state, isNew, first));
  }
  // An average begins where the weights do.
  state.moments.ema?.set(state.params);
  await group.barrier();
}

/** Tensors that pre-training does not have. */
function isNew(name: string): boolean {
  return /^(head|fc_norm)\./.test(name) || /\.(gamma_[12]|relative_position_bias_table)$/.test(name);
}
