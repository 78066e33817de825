// Validation during pre-training: decides once, at the start, whether it can be done, and then does it on request.
import path from 'node:path';
import type { ProcessGroup } from '@slip/comms';
import type { RunConfig } from '@slip/config';
import { type Logger, SlipError, writeFileAtomic } from '@slip/core';
import type { ModelConfig } from '@slip/model/architecture';
import { type TrainState, tensorView } from '../pretrain/train-state.js';
import { classVectors } from './class-vectors.js';
import type { ClassificationFigures } from './classification-metrics.js';
import { imageEncoder, textEncoder } from './encoder.js';
import { openZeroShotSet, type ZeroShotSet } from './open-set.js';
import { type ZeroShotResult, zeroShot } from './zero-shot.js';

const IMAGE_BATCH = 64;
const TEXT_BATCH = 32;

export interface ValidationResult {
  readonly figures: Record<string, number> & ClassificationFigures;
  /** One line for people. */
  readonly summary: string;
}

export interface Validation {
  readonly dataset: string;
  /** Collective. Leaves `<run>/evaluation.json` with figures and a few predictions. */
  run(state: TrainState): Promise<ValidationResult>;
}

/**
 * @returns undefined, after one warning, where the set is missing: pre-training goes on without validation
 * @throws SlipError `data` instead, when `required` (evaluation was asked for)
 */
export async function prepareValidation(options: {
  config: RunConfig;
  model: ModelConfig;
  group: ProcessGroup;
  threads: number;
  log: Logger;
  required: boolean;
}): Promise<Validation | undefined> {
  const { config, model, log } = options;
  if (model.family === 'SIMCLR') {
    if (options.required)
      throw new SlipError('config', '--evaluate is zero-shot classification, which SimCLR models cannot do');
    return undefined;
  }
  if (config.valDataset === 'none' && !options.required) return undefined;
  try {
    return await openValidation(options);
  } catch (error) {
    if (options.required || !(error instanceof SlipError)) throw error;
    if (options.group.rank === 0) log.warn(`no zero-shot validation in this run: ${error.message}`);
    return undefined;
  }
}

interface Place {
  readonly config: RunConfig;
  readonly model: ModelConfig;
  readonly group: ProcessGroup;
  readonly threads: number;
  readonly log: Logger;
}

async function openValidation(place: Place): Promise<Validation> {
  const { config, group, log } = place;
  if (config.catalog === '')
    throw new SlipError('data', `--catalog is not given, so the validation set ${config.valDataset} cannot be found`);
  const set = await openZeroShotSet(config, config.valDataset, (message) => {
    if (group.rank === 0) log.warn(message);
  });
  return {
    dataset: set.name,
    async run(state) {
      const { figures, predictions } = await classify(place, set, state);
      if (group.rank === 0) {
        const { classes } = set.images;
        const document = { dataset: set.name, step: state.step, figures, classes, predictions };
        await writeFileAtomic(path.join(config.outputDir, 'evaluation.json'), `${JSON.stringify(document, null, 1)}\n`);
      }
      return {
        figures: { ...figures },
        summary:
          `0-shot ${set.name} * Acc@1 ${figures.acc1.toFixed(3)} Acc@5 ${figures.acc5.toFixed(3)} ` +
          `mean per-class recall ${figures.meanRecall.toFixed(3)} (chance ${figures.chance.toFixed(3)}, largest class ${figures.largestClass.toFixed(3)})`,
      };
    },
  };
}

async function classify(place: Place, set: ZeroShotSet, state: TrainState): Promise<ZeroShotResult> {
  const { config, model, group, threads } = place;
  const { contextLength } = model.text!;
  const texts = await textEncoder(model, state, TEXT_BATCH, threads);
  const textModel = { contextLength, embedDim: model.embedDim, truncate: config.truncate, texts };
  const classes = await classVectors(textModel, set.prompts, group).finally(() => texts.close());
  const encoder = await imageEncoder(model, state, IMAGE_BATCH, threads);
  const logitScale = Math.exp(tensorView(state, state.params, 'logit_scale')[0]);
  try {
    const task = { images: set.images, classes, encoder, imageSize: model.vision.imageSize, logitScale, group };
    return (await zeroShot(task))!;
  } finally {
    await encoder.close();
  }
}
