// Zero-shot classification (reference 6.2): each picture goes to the class whose vector is nearest. Shared among the ranks, with exact
// figures whatever their number.
import type { ProcessGroup } from '@slip/comms';
import { createEvalLoader, type EvalItem, type LabelledDataset } from '@slip/data';
import type { Encoder } from '../encode/encoder.js';
import {
  addCounts,
  type ClassificationFigures,
  countImage,
  emptyCounts,
  figuresOf,
  rocAuc,
} from './classification-metrics.js';

const SHOWN_PER_RANK = 24;

/** One image with its best guesses, for people to look at. */
export interface Prediction {
  readonly file: string;
  readonly label: string;
  readonly top: readonly { readonly label: string; readonly probability: number }[];
}

export interface ZeroShotResult {
  readonly figures: ClassificationFigures;
  /** Percent; of sets with two classes. */
  readonly auc?: number;
  readonly predictions: readonly Prediction[];
}

export interface ZeroShotTask {
  readonly images: LabelledDataset;
  /** [classes, embedDim], each of length 1. */
  readonly classes: Float32Array;
  readonly encoder: Encoder;
  readonly imageSize: number;
  /** By which cosines are multiplied for the probabilities that are shown. */
  readonly logitScale: number;
  readonly group: ProcessGroup;
  readonly stopRequested?: () => boolean;
  /** Told of this rank's pictures, done and in all. */
  readonly onProgress?: (done: number, total: number) => void;
}

interface Share {
  readonly counts: ReturnType<typeof emptyCounts>;
  readonly predictions: Prediction[];
  /** How much more class 1 is like the picture than class 0, where these two are all. */
  readonly margins: number[];
  readonly labels: number[];
  readonly stopped: boolean;
}

/** Collective. @returns undefined, on all ranks, when one was asked to stop */
export async function zeroShot(task: ZeroShotTask): Promise<ZeroShotResult | undefined> {
  const { group } = task;
  const { counts, predictions, margins, labels, stopped } = await classifyShare(task);
  const parts = await group.allGatherObject({ counts, predictions: predictions.slice(0, SHOWN_PER_RANK), stopped });
  if (parts.some((part) => part.stopped)) return undefined;
  const auc =
    margins.length > 0 || task.images.classes.length === 2 ? await gatherAuc(group, margins, labels) : undefined;
  return {
    figures: figuresOf(addCounts(parts.map((part) => part.counts))),
    ...(auc === undefined ? {} : { auc }),
    predictions: parts.flatMap((part) => part.predictions),
  };
}

async function classifyShare(task: ZeroShotTask): Promise<Share> {
  const { images, classes, encoder, group, imageSize, logitScale } = task;
  const numClasses = images.classes.length;
  const embedDim = classes.length / numClasses;
  const share: Share = { counts: emptyCounts(numClasses), predictions: [], margins: [], labels: [], stopped: false };
  const { rank, worldSize } = group;
  const options = { dataset: images, imageSize, batchSize: encoder.batchSize, rank, worldSize, wholeBatches: true };
  const stride = Math.max(1, Math.floor(images.length / worldSize / SHOWN_PER_RANK));
  const total = Math.ceil(images.length / worldSize);
  let seen = 0;
  for await (const batch of createEvalLoader(options)) {
    const features = await encoder.encode(batch.images, batch.items.length);
    for (const [row, item] of batch.items.entries()) {
      const scores = classScores(features.subarray(row * embedDim, (row + 1) * embedDim), classes, numClasses);
      countImage(share.counts, scores, item.label);
      if (numClasses === 2) {
        share.margins.push(scores[1] - scores[0]);
        share.labels.push(item.label);
      }
      if (seen++ % stride === 0) share.predictions.push(describePrediction(item, scores, logitScale, images.classes));
    }
    task.onProgress?.(Math.min(seen, total), total);
    if (task.stopRequested?.() === true) return { ...share, stopped: true };
  }
  return share;
}

async function gatherAuc(group: ProcessGroup, margins: readonly number[], labels: readonly number[]): Promise<number> {
  const lengths = await group.allGatherObject(margins.length);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const [allMargins, allLabels] = [new Float32Array(total), new Float32Array(total)];
  await group.allGather(Float32Array.from(margins), allMargins, lengths);
  await group.allGather(Float32Array.from(labels), allLabels, lengths);
  return rocAuc(allMargins, allLabels);
}

function classScores(feature: Float32Array, classes: Float32Array, numClasses: number): Float32Array {
  const scores = new Float32Array(numClasses);
  for (let k = 0; k < numClasses; k++) {
    let dot = 0;
    for (let i = 0; i < feature.length; i++) dot += feature[i] * classes[k * feature.length + i];
    scores[k] = dot;
  }
  return scores;
}

function describePrediction(
  item: EvalItem,
  scores: Float32Array,
  scale: number,
  classes: readonly string[],
): Prediction {
  const best = Math.max(...scores);
  const weights = Array.from(scores, (score) => Math.exp(scale * (score - best)));
  const sum = weights.reduce((a, b) => a + b, 0);
  const order = [...weights.keys()].sort((a, b) => weights[b] - weights[a]).slice(0, 3);
  return {
    file: item.file,
    label: classes[item.label],
    top: order.map((k) => ({ label: classes[k], probability: weights[k] / sum })),
  };
}
