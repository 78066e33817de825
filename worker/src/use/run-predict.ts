// The task predict: which of some labels fits a picture best.
import { readFile } from 'node:fs/promises';
import type { PredictConfig } from '@slip/config';
import { SlipError } from '@slip/core';
import { requireText } from '../encode/open-model.js';
import { linesOf } from './embedding-folder.js';
import { ModelEncoders, modelForUse } from './model-for-use.js';
import { probabilitiesOf } from './probabilities.js';
import type { UsePlace } from './run-embed.js';

/** Rank 0 does it, pictures in the order they were given. @param print results, on standard output */
export async function runPredict(config: PredictConfig, place: UsePlace, print: (line: string) => void): Promise<void> {
  if (place.group.rank !== 0) return;
  const labels = await readLabels(config);
  const model = await modelForUse(config.resume, config, place);
  requireText(model, 'choosing among labels');
  const { template, truncate, image: files, topK, json } = config;
  const encoders = new ModelEncoders(model, { batchSize: 32, truncate, threads: place.threads, unit: true });
  try {
    const texts = await encoders.texts(labels.map((label) => template.replaceAll('{}', label)));
    const images = await encoders.images(files);
    const width = model.config.embedDim;
    for (const [row, file] of files.entries()) {
      const feature = images.subarray(row * width, (row + 1) * width);
      const ranked = probabilitiesOf(feature, texts, model.logitScale!)
        .map((probability, k) => ({ label: labels[k], probability }))
        .sort((a, b) => b.probability - a.probability)
        .slice(0, topK);
      if (json) print(JSON.stringify({ image: file, labels: ranked }));
      else for (const line of [file, ...ranked.map(lineOf)]) print(line);
    }
    place.log.info(`predict * ${files.length} images, ${labels.length} labels, ${model.config.name}`);
  } finally {
    await encoders.close();
  }
}

function lineOf({ label, probability }: { label: string; probability: number }): string {
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
