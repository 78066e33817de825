// The task pretrain: the views, losses and optimizer of SLIP, CLIP and SimCLR, for the training that all tasks have.
import { modelOf, planTraining, type RunConfig, scalesLoss } from '@slip/config';
import { SlipError } from '@slip/core';
import type { TrainLoaderOptions } from '@slip/data';
import { lrSchedule, trainStep } from '@slip/model';
import { countParameters, type ModelConfig, stateLayout } from '@slip/model/architecture';
import { prepareValidation } from '../evaluation/validation.js';
import { feedViews } from './feed-views.js';
import type { LanePlan } from './lanes.js';
import { adamWOptimizer } from './optimizer.js';
import { runTraining, type TaskPlace, type TrainingParts, type WorkerContext } from './run-training.js';
import type { TrainState } from './train-state.js';
import type { TrainOutcome } from './trainer.js';

/** The whole life of a pre-training worker. */
export function runPretrain(context: WorkerContext<RunConfig>): Promise<TrainOutcome> {
  return runTraining(context, (place) => pretrainParts(context.config, place));
}

async function pretrainParts(config: RunConfig, place: TaskPlace): Promise<TrainingParts> {
  const model = modelOf(config);
  const { group, threads, log } = place;
  return {
    title: `${model.name}: ${countParameters(model).toLocaleString('en')} parameters`,
    metrics: model.family,
    metricNames: METRIC_NAMES[model.family],
    layout: stateLayout(model),
    optimizer: () => adamWOptimizer({ betas: config.betas, eps: config.eps, weightDecay: config.wd }),
    validation: await prepareValidation({ config, model, group, threads, log, required: config.evaluate }),
    evaluate: config.evaluate,
    loaderOptions: (plan, rank) => loaderOptions(config, model, plan, rank),
    plan: (datasetSize) => planTraining(config, datasetSize),
    learningRate: ({ stepsPerEpoch }) => lrSchedule({ ...config, stepsPerEpoch }),
    step: ({ rows }, rank) => {
      const { gather, sslScale, sslTemp } = config;
      return trainStep(model, { rank, rows, gather, sslScale, sslTemp, scaledLoss: scalesLoss(config) });
    },
    feed: (executor) => (batch) => feedViews(executor, batch),
    begin: (state) => beginFresh(config, model, state, place),
  };
}

async function beginFresh(
  config: RunConfig,
  model: ModelConfig,
  state: TrainState,
  { group, log, cacheFolder }: TaskPlace,
): Promise<void> {
  if (config.pretrained !== '') {
    // Readers of all the formats, which few starts need.
    const { findPretrained } = await import('@slip/weights');
    const { loadPretrained } = await import('./pretrained.js');
    const file = await findPretrained(config.pretrained, cacheFolder);
    await loadPretrained(file, model, state, group.rank === 0 ? log : undefined);
    if (group.rank === 0) log.info(`starting from the weights of ${file}`);
  } else if (config.evaluate) {
    throw new SlipError(
      'checkpoint',
      `--evaluate needs a checkpoint: none in ${config.outputDir}, no --resume and no --pretrained`,
    );
  }
}

function loaderOptions(config: RunConfig, model: ModelConfig, { rows }: LanePlan, rank: number): TrainLoaderOptions {
  const views = {
    CLIP: ['image', 'tokens'] as const,
    SIMCLR: ['aug1', 'aug2'] as const,
    SLIP: ['image', 'tokens', 'aug1', 'aug2'] as const,
  };
  const { dataset, root, metadata, indexDir, csvImgKey, csvCaptionKey } = config;
  return {
    dataset: { dataset, root, metadata, indexDir, csvImgKey, csvCaptionKey },
    views: views[model.family],
    imageSize: model.vision.imageSize,
    contextLength: model.text?.contextLength ?? 0,
    rank,
    rows,
    seed: config.seed,
    sampler: config.sampler,
    truncate: config.truncate,
    transforms: config.transforms,
    workers: config.workers,
    prefetchBytes: config.prefetchMb * 1e6,
    badSamples: config.badSamples,
  };
}

const METRIC_NAMES = {
  CLIP: ['loss', 'clip_loss', 'clip_acc'],
  SIMCLR: ['loss', 'ssl_loss', 'ssl_acc'],
  SLIP: ['loss', 'clip_loss', 'ssl_loss', 'clip_acc', 'ssl_acc'],
};
