// What the paper's authors report of a classifier on the same weights, to stand behind ours.
import type { LabelledDataset } from '@slip/data';
import { publishedScores } from '@slip/weights';
import { withWeights } from './tower-weights.js';

/** They have figures of ImageNet-1K only. */
const IMAGENET_CLASSES = 1000;

/** @returns for the end of a line; empty where nothing is published */
export async function publishedNote(
  score: 'linear' | 'finetuned',
  weights: string,
  cacheFolder: string,
  { name, classes }: LabelledDataset,
): Promise<string> {
  if (weights === '' || name !== 'imagenet' || classes.length !== IMAGENET_CLASSES) return '';
  const model = await withWeights(weights, cacheFolder, (found) => found.model.name);
  const figures = publishedScores(weights, model).map((one) => `${one[score]?.toFixed(1)} ${one.name}`);
  return figures.length === 0 ? '' : ` published ${figures.join(', ')}`;
}
