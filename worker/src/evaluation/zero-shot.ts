// Zero-shot classification (reference 6.2): class vectors from templated labels, images to the nearest one.
import type { ProcessGroup } from '@slip/comms';
import type { RunConfig } from '@slip/config';
import { createEvalLoader, type ImageFolder, Tokenizer } from '@slip/data';
import type { ModelConfig } from '@slip/model/architecture';
import type { TrainState } from '../pretrain/train-state.js';
import type { CatalogEntry } from './catalog.js';
import { addCounts, type ClassificationFigures, countImage, emptyCounts, figuresOf } from './classification-metrics.js';
import { type Encoder, imageEncoder, textEncoder, unitRows } from './encoder.js';

const IMAGE_BATCH = 64;
const TEXT_BATCH = 32;
const SHOWN_PER_RANK = 24;

/** One image with its best guesses, for people to look at. */
export interface Prediction {
  readonly file: string;
  readonly label: string;
  readonly top: readonly { readonly label: string; readonly probability: number }[];
}

export interface ZeroShotResult {
  readonly figures: ClassificationFigures;
  readonly predictions: readonly Prediction[];
}

export interface ZeroShotTask {
  readonly config: RunConfig;
  readonly model: ModelConfig;
  readonly entry: CatalogEntry;
  readonly images: ImageFolder;
  readonly group: ProcessGroup;
  readonly threads: number;
}

/** Every rank classifies its share of the images; the figures are exact and equal on all ranks. */
export async function zeroShot(task: ZeroShotTask, state: TrainState): Promise<ZeroShotResult> {
  const classes = await classVectors(task, state);
  const encoder = await imageEncoder(task.model, state, IMAGE_BATCH, task.threads);
  try {
    return await classifyAll(task, state, classes, encoder);
  } finally {
    await encoder.close();
  }
}

async function classifyAll(
  task: ZeroShotTask,
  state: TrainState,
  classes: Float32Array,
  encoder: Encoder,
): Promise<ZeroShotResult> {
  const { images, group, model } = task;
  const numClasses = task.entry.labels.length;
  const counts = emptyCounts(numClasses);
  const scale = Math.exp(state.params[state.entries.find((entry) => entry.name === 'logit_scale')!.offset]);
  const predictions: Prediction[] = [];
  const loader = createEvalLoader({
    items: images.items,
    imageSize: model.vision.imageSize,
    batchSize: IMAGE_BATCH,
    rank: group.rank,
    worldSize: group.worldSize,
  });
  const stride = Math.max(1, Math.floor(images.items.length / group.worldSize / SHOWN_PER_RANK));
  let seen = 0;
  for await (const batch of loader) {
    const rows = batch.items.length;
    const features = await encoder.encode(batch.images, rows);
    for (let row = 0; row < rows; row++) {
      const scores = classScores(
        features.subarray(row * model.embedDim, (row + 1) * model.embedDim),
        classes,
        numClasses,
      );
      countImage(counts, scores, batch.items[row].label);
      if (seen++ % stride === 0) predictions.push(describePrediction(batch.items[row], scores, scale, images.classes));
    }
  }
  const gathered = await group.allGatherObject({ counts, predictions: predictions.slice(0, SHOWN_PER_RANK) });
  return {
    figures: figuresOf(addCounts(gathered.map((part) => part.counts))),
    predictions: gathered.flatMap((part) => part.predictions),
  };
}

/** [numClasses, embedDim]: the mean of the unit vectors of all template and label combinations, made unit again. */
async function classVectors(task: ZeroShotTask, state: TrainState): Promise<Float32Array> {
  const { model, entry, config } = task;
  const texts = entry.labels.map((labels) =>
    entry.templates.flatMap((template) => labels.map((label) => template.replace('{}', label))),
  );
  const rows = await encodeTexts(task, state, texts.flat(), config);
  const vectors = new Float32Array(entry.labels.length * model.embedDim);
  let row = 0;
  texts.forEach((group, k) => {
    const mean = vectors.subarray(k * model.embedDim, (k + 1) * model.embedDim);
    for (const _ of group) {
      for (let i = 0; i < model.embedDim; i++) mean[i] += rows[row * model.embedDim + i] / group.length;
      row += 1;
    }
  });
  return unitRows(vectors, entry.labels.length);
}

async function encodeTexts(
  { model, threads }: ZeroShotTask,
  state: TrainState,
  texts: readonly string[],
  config: RunConfig,
): Promise<Float32Array> {
  const contextLength = model.text!.contextLength;
  const tokenizer = Tokenizer.load();
  const encoder = await textEncoder(model, state, TEXT_BATCH, threads);
  try {
    const all = new Float32Array(texts.length * model.embedDim);
    for (let start = 0; start < texts.length; start += TEXT_BATCH) {
      const part = texts.slice(start, start + TEXT_BATCH);
      const tokens = new Int32Array(part.length * contextLength);
      part.forEach((text, i) => {
        tokens.set(tokenizer.tokenize(text, { contextLength, truncate: config.truncate }), i * contextLength);
      });
      all.set(await encoder.encode(tokens, part.length), start * model.embedDim);
    }
    return all;
  } finally {
    await encoder.close();
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
  item: { file: string; label: number },
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
