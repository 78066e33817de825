// Validation during pre-training: decides once, at the start, whether it can be done, and then does it on request.
import path from 'node:path';
import type { ProcessGroup } from '@slip/comms';
import type { RunConfig } from '@slip/config';
import { type Logger, SlipError, writeFileAtomic } from '@slip/core';
import { openImageFolder } from '@slip/data';
import type { ModelConfig } from '@slip/model/architecture';
import type { TrainState } from '../pretrain/train-state.js';
import { readCatalogEntry } from './catalog.js';
import type { ClassificationFigures } from './classification-metrics.js';
import { type ZeroShotTask, zeroShot } from './zero-shot.js';

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

async function openValidation(options: {
  config: RunConfig;
  model: ModelConfig;
  group: ProcessGroup;
  threads: number;
}): Promise<Validation> {
  const { config, group } = options;
  const entry = await readCatalogEntry(
    { catalog: config.catalog, labels: config.labels, templates: config.templates },
    config.valDataset,
  );
  const images = await openImageFolder(entry.folder);
  if (images.classes.length !== entry.labels.length) {
    throw new SlipError(
      'data',
      `${entry.folder} has ${images.classes.length} class folders, ${config.labels} has ${entry.labels.length} labels for ${entry.name}`,
    );
  }
  const task: ZeroShotTask = { ...options, entry, images };
  return {
    dataset: entry.name,
    async run(state) {
      const { figures, predictions } = await zeroShot(task, state);
      if (group.rank === 0) {
        const document = { dataset: entry.name, step: state.step, figures, classes: images.classes, predictions };
        await writeFileAtomic(path.join(config.outputDir, 'evaluation.json'), `${JSON.stringify(document, null, 1)}\n`);
      }
      return {
        figures: { ...figures },
        summary:
          `0-shot ${entry.name} * Acc@1 ${figures.acc1.toFixed(3)} Acc@5 ${figures.acc5.toFixed(3)} ` +
          `mean per-class recall ${figures.meanRecall.toFixed(3)} (chance ${figures.chance.toFixed(3)}, largest class ${figures.largestClass.toFixed(3)})`,
      };
    },
  };
}
