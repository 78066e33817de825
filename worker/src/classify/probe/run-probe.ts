// Fast linear probing: features once, then classifiers on them with a sweep of the regularisation (`linear --solver lbfgs` or `sgd`). Not
// the original's recipe with its augmentation, which is run-linear.ts.

import { stat } from 'node:fs/promises';
import path from 'node:path';
import { initialLr, type LinearConfig } from '@slip/config';
import { SlipError, writeFileAtomic } from '@slip/core';
import { openLabelled } from '@slip/data';
import { linearLayout, plainClassifier } from '@slip/model/architecture';
import { findPretrained } from '@slip/weights';
import type { TaskPlace, WorkerContext } from '../../pretrain/run-training.js';
import { createTrainState } from '../../pretrain/train-state.js';
import type { TrainOutcome } from '../../pretrain/trainer.js';
import { openLabelledImages } from '../labelled-images.js';
import { linearView } from '../run-linear.js';
import { loadTower, towerOf, withWeights } from '../tower-weights.js';
import { featuresOf } from './cached-features.js';
import { ProbeObjective } from './probe-objective.js';
import { bestOf, fit, type SolveOptions, sweep } from './solve.js';

/**
 * Leaves `<run>/probe.json` with the sweep and the figures of the best. Collective.
 * @param stopRequested whether this rank was asked to stop; features that are there are kept for the next start
 */
export async function runProbe(
  context: WorkerContext<LinearConfig>,
  place: TaskPlace,
  stopRequested: () => boolean,
): Promise<TrainOutcome> {
  try {
    await probe(context.config, place, stopRequested);
    return 'completed';
  } catch (error) {
    if (!(error instanceof SlipError) || error.code !== 'stopped') throw error;
    if (place.group.rank === 0)
      place.log.info('stopped; the same command begins again, with the features that are there');
    await place.group.barrier();
    return 'stopped';
  }
}

async function probe(config: LinearConfig, place: TaskPlace, stopRequested: () => boolean): Promise<void> {
  const { group, threads, log, cacheFolder } = place;
  const tell = (line: string) => {
    if (group.rank === 0) log.info(line);
  };
  const images = await openLabelledImages(config, config.numClasses, 'num-classes');
  const heads = config.visionHeads === undefined ? {} : { heads: config.visionHeads };
  const file = await findPretrained(config.pretrained, cacheFolder);
  const vision = await withWeights(file, cacheFolder, (weights) => towerOf(weights, { arch: config.arch, ...heads }));
  const classifier = plainClassifier(vision, images.numClasses);
  const layout = linearLayout(classifier);
  const state = await createTrainState(layout, config.seed, group, [], place.device);
  await withWeights(file, cacheFolder, (weights) =>
    loadTower(weights, state, (name) => name.startsWith('head.'), group.rank === 0 ? log : undefined),
  );
  const folder = path.join(config.outputDir, 'features');
  const key = `${path.resolve(file)} ${(await stat(file)).mtimeMs}`;
  const task = { classifier, layout, state, view: linearView(vision), group, threads, folder, key, log, stopRequested };
  const training = await featuresOf(task, 'train', await openLabelled(images.train));
  const validation = await featuresOf(task, 'validation', images.validation);
  tell(`features of ${training.total} training and ${validation.total} validation pictures are there`);

  const objective = await ProbeObjective.create(
    { width: vision.width, numClasses: images.numClasses },
    group,
    threads,
    stopRequested,
  );
  try {
    const options = solveOptions(config);
    const results = await sweep(objective, training, config.l2.map(Number), config.holdout, options, (result) =>
      tell(
        `l2 ${result.l2.toExponential(0)}: Acc@1 ${result.acc1.toFixed(3)} on the held-out share, ${result.iterations} iterations` +
          (result.converged ? '' : ', not converged'),
      ),
    );
    const { l2 } = bestOf(results);
    const everything = Uint32Array.from({ length: training.total }, (_, row) => row);
    const { head } = await fit(objective, training, everything, l2, options);
    const all = Int32Array.from({ length: validation.labels.length }, (_, row) => row);
    const figures = await objective.figures(head, validation, all);
    tell(
      `linear ${config.solver} ${config.dataset} * Acc@1 ${figures.acc1.toFixed(3)} Acc@5 ${figures.acc5.toFixed(3)} ` +
        `mean per-class recall ${figures.meanRecall.toFixed(3)} (l2 ${l2.toExponential(0)}, ${figures.images} images)`,
    );
    const document = {
      dataset: config.dataset,
      solver: config.solver,
      weights: config.pretrained,
      l2,
      sweep: results,
      figures,
    };
    if (group.rank === 0)
      await writeFileAtomic(path.join(config.outputDir, 'probe.json'), `${JSON.stringify(document, null, 1)}\n`);
  } finally {
    await objective.close();
  }
  await group.barrier();
}

function solveOptions(config: LinearConfig): SolveOptions {
  const { solver, maxIterations, epochs, rowsPerMicroBatch, momentum, seed } = config;
  return {
    solver: solver === 'sgd' ? 'sgd' : 'lbfgs',
    ...{ maxIterations, epochs, momentum, seed, batchRows: rowsPerMicroBatch, lr: initialLr(config) },
  };
}
