// Zero-shot classification (reference 6.2): each picture goes to the class whose vector is nearest. Shared among the ranks, with exact
// figures whatever their number.
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { ProcessGroup } from '@slip/comms';
import { createEvalLoader, type EvalItem, type LabelledDataset, writeNpyMatrix } from '@slip/data';
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
  /** Rank 0 writes the cosines of all pictures there, [pictures, classes] as .npy. */
  readonly scoresFile?: string;
  readonly stopRequested?: () => boolean;
  /** Told of this rank's pictures, done and in all. */
  readonly onProgress?: (done: number, total: number) => void;
}

interface Share {
  readonly counts: ReturnType<typeof emptyCounts>;
  readonly predictions: Prediction[];
  /** How much more class 1 is like the picture than class 0, where these two are all. */
  readonly margins: number[];
  /** Of each picture, where they are wanted. */
  readonly scores: Float32Array[];
  readonly labels: number[];
  readonly stopped: boolean;
}

/** Collective. @returns undefined, on all ranks, when one was asked to stop */
export async function zeroShot(task: ZeroShotTask): Promise<ZeroShotResult | undefined> {
  const { group } = task;
  const share = await classifyShare(task);
  const { counts, predictions, margins, labels, stopped } = share;
  const parts = await group.allGatherObject({ counts, predictions: predictions.slice(0, SHOWN_PER_RANK), stopped });
  if (parts.some((part) => part.stopped)) return undefined;
  const auc =
    margins.length > 0 || task.images.classes.length === 2 ? await gatherAuc(group, margins, labels) : undefined;
  if (task.scoresFile !== undefined) await writeScores(task, task.scoresFile, share.scores);
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
  const share: Share = {
    counts: emptyCounts(numClasses),
    predictions: [],
    margins: [],
    scores: [],
    labels: [],
    stopped: false,
  };
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
      if (task.scoresFile !== undefined) share.scores.push(scores);
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

/** Gathered in pieces, so that no rank needs memory for all. */
async function writeScores({ group, images }: ZeroShotTask, file: string, own: readonly Float32Array[]): Promise<void> {
  const width = images.classes.length;
  const rows = await group.allGatherObject(own.length);
  const pieces = gatherRows(group, own, rows, width);
  if (group.rank !== 0) {
    for await (const _ of pieces);
    return;
  }
  await mkdir(path.dirname(file), { recursive: true });
  await writeNpyMatrix(file, [images.length, width], pieces);
}

const GATHERED_ROWS = 4096;

/** Rank by rank, every row once; all ranks take part in every piece. */
async function* gatherRows(
  group: ProcessGroup,
  own: readonly Float32Array[],
  rows: readonly number[],
  width: number,
): AsyncGenerator<Uint8Array> {
  for (const [rank, count] of rows.entries()) {
    for (let begin = 0; begin < count; begin += GATHERED_ROWS) {
      const piece = new Float32Array(Math.min(GATHERED_ROWS, count - begin) * width);
      if (rank === group.rank)
        for (let row = 0; row * width < piece.length; row++) piece.set(own[begin + row], row * width);
      await group.broadcast(piece, rank);
      yield new Uint8Array(piece.buffer);
    }
  }
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
