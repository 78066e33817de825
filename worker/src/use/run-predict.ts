// The task predict: which of some labels fits a picture best.
import { readFile } from 'node:fs/promises';
import type { PredictConfig } from '@slip/config';
import { SlipError } from '@slip/core';
import { type LabelProbability, SlipModel } from '../encode/slip-model.js';
import { linesOf } from './embedding-folder.js';
import { modelForUse } from './model-for-use.js';
import type { UsePlace } from './run-embed.js';

/** Rank 0 does it, pictures in the order they were given. @param print results, on standard output */
export async function runPredict(config: PredictConfig, place: UsePlace, print: (line: string) => void): Promise<void> {
  if (place.group.rank !== 0) return;
  const labels = await readLabels(config);
  const opened = await modelForUse(config.resume, config, place);
  const { template, truncate, image: files, topK, json } = config;
  const model = new SlipModel(opened, { truncate, threads: place.threads });
  try {
    for (const [row, all] of (await model.classify(files, labels, template)).entries()) {
      const ranked = all.slice(0, topK);
      if (json) print(JSON.stringify({ image: files[row], labels: ranked }));
      else for (const line of [files[row], ...ranked.map(lineOf)]) print(line);
    }
    place.log.info(`predict * ${files.length} images, ${labels.length} labels, ${model.config.name}`);
  } finally {
    await model.close();
  }
}

function lineOf({ label, probability }: LabelProbability): string {
  return `${(100 * probability).toFixed(1).padStart(7)} %  ${label}`;
}

async function readLabels({ labels, labelsFile }: PredictConfig): Promise<string[]> {
  const given = labelsFile === '' ? labels.split(',') : linesOf(await readLabelsFile(labelsFile));
  const trimmed = given.map((label) => label.trim()).filter((label) => label !== '');
  if (trimmed.length === 0) throw new SlipError('data', `${labelsFile || '--labels'} has no labels`);
  return trimmed;
}

function readLabelsFile(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: Error) => {
    throw new SlipError('data', `--labels-file ${file} cannot be read: ${error.message}`, { cause: error });
  });
}
