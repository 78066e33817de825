// The task linear: a classifier on the frozen tower of any weights (reference 6.3), for the training that all tasks have.
import { initialLr, type LinearConfig, planTraining, scalesLoss } from '@slip/config';
import type { LabelledView, TrainLoaderOptions } from '@slip/data';
import type { StepExecutor } from '@slip/engine';
import { linearStep } from '@slip/model';
import { linearLayout, plainClassifier, type VisionConfig } from '@slip/model/architecture';
import type { Feed, LanePlan } from '../pretrain/lanes.js';
import { sgdOptimizer } from '../pretrain/optimizer.js';
import {
  runTraining,
  type TaskPlace,
  type TrainingParts,
  type WorkerContext,
  withPlace,
} from '../pretrain/run-training.js';
import { listenForStop } from '../pretrain/stop-request.js';
import type { TrainOutcome } from '../pretrain/trainer.js';
import { classifierValidation } from './classifier-validation.js';
import { type LabelledImages, openLabelledImages } from './labelled-images.js';
import { publishedNote } from './published-note.js';
import { writeRowWeights } from './row-weights.js';
import { loadTower, towerOf, withWeights } from './tower-weights.js';

/** The whole life of a worker of linear probing. */
export async function runLinear(context: WorkerContext<LinearConfig>): Promise<TrainOutcome> {
  if (context.config.solver === 'recipe') return runTraining(context, (place) => linearParts(context.config, place));
  const { runProbe } = await import('./probe/run-probe.js');
  const stop = listenForStop((signal) => context.log.warn(`${signal} received: stopping`));
  return withPlace(context, (place) => runProbe(context, place, () => stop.signal !== undefined));
}

/** Pictures as the classifier sees them without augmentation: short side to 256 of 224. */
export function linearView({ imageSize }: VisionConfig): LabelledView {
  return { filter: 'bilinear', normalisation: 'imagenet', resizeTo: Math.round((imageSize * 256) / 224) };
}

async function linearParts(config: LinearConfig, place: TaskPlace): Promise<TrainingParts> {
  const { group, threads, log, cacheFolder } = place;
  const images = await openLabelledImages(config, config.numClasses, 'num-classes');
  const vision = await withWeights(config.pretrained, cacheFolder, (weights) =>
    towerOf(weights, {
      arch: config.arch,
      ...(config.visionHeads === undefined ? {} : { heads: config.visionHeads }),
    }),
  );
  const classifier = plainClassifier(vision, images.numClasses);
  const layout = linearLayout(classifier);
  const view = linearView(vision);
  const note = await publishedNote('linear', config.pretrained, cacheFolder, images.validation);
  const { dataset, momentum, wd, evaluate } = config;
  return {
    title: `linear probe of ${vision.depth} x ${vision.width} on ${dataset}: ${images.numClasses} classes, first lr ${initialLr(config)}`,
    metrics: 'LINEAR',
    metricNames: ['loss', 'acc1', 'acc5'],
    layout,
    optimizer: () => sgdOptimizer({ momentum, weightDecay: wd }),
    validation: classifierValidation({
      ...{ task: 'linear', dataset, images: images.validation, view, classifier, layout, group, threads, note },
    }),
    evaluate,
    loaderOptions: (plan, rank) => loaderOptions(config, images, view, vision.imageSize, plan, rank),
    plan: (datasetSize) => planTraining(config, datasetSize, true),
    learningRate: ({ stepsPerEpoch }) => cosineByEpoch(initialLr(config), config.epochs, stepsPerEpoch),
    step: ({ rows }, rank) => linearStep(classifier, layout, { rows: rows[rank], scaledLoss: scalesLoss(config) }),
    feed: (executor, plan, _rank, datasetSize) => feedLinear(executor, plan, config, datasetSize),
    begin: (state) =>
      withWeights(config.pretrained, cacheFolder, (weights) =>
        loadTower(weights, state, (name) => name.startsWith('head.'), group.rank === 0 ? log : undefined),
      ),
  };
}

function loaderOptions(
  config: LinearConfig,
  { train }: LabelledImages,
  view: LabelledView,
  imageSize: number,
  { rows }: LanePlan,
  rank: number,
): TrainLoaderOptions {
  const { seed, sampler, workers, prefetchMb, badSamples, augment } = config;
  return {
    dataset: train,
    views: ['image'],
    labelled: augment ? { ...view, augment: {} } : view,
    ...{ imageSize, contextLength: 0, truncate: 'keep-eot', transforms: 'exact' },
    ...{ rank, rows, seed, sampler, workers, badSamples, prefetchBytes: prefetchMb * 1e6 },
    keepLast: true,
  };
}

/** The last micro-batch of an epoch may not be full: what is missing has no weight. */
function feedLinear(executor: StepExecutor, { rows }: LanePlan, { sampler }: LinearConfig, datasetSize: number): Feed {
  const [image, labels, weights] = ['image', 'labels', 'weights'].map((name) => executor.input(name));
  const total = rows.reduce((sum, own) => sum + own, 0);
  return ({ image: pixels, labels: own, index, samples }) => {
    image.fill(0);
    image.set(pixels!);
    labels.fill(0);
    labels.set(own!);
    // DistributedSampler gives all ranks as many.
    const valid = sampler === 'torch' ? samples.length * rows.length : Math.min(total, datasetSize - index * total);
    writeRowWeights(weights as Float32Array, samples.length, valid, rows.length);
  };
}

/** Constant inside an epoch, without warm-up. */
export function cosineByEpoch(first: number, epochs: number, stepsPerEpoch: number): (step: number) => number {
  return (step) => first * 0.5 * (1 + Math.cos((Math.PI * Math.floor(step / stepsPerEpoch)) / epochs));
}
