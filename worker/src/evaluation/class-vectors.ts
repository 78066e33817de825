// The vectors that classes are recognised by (reference 6.2): the mean of the unit vectors of all captions of a class, made unit again.
import type { ProcessGroup } from '@slip/comms';
import { captionsOf, type Prompts, type Truncate } from '@slip/data';
import { textBatch } from '../encode/batches.js';
import { type Encoder, unitRows } from '../encode/encoder.js';

/** Whose captions are encoded. */
export interface TextModel {
  readonly contextLength: number;
  readonly embedDim: number;
  readonly truncate: Truncate;
  readonly texts: Encoder;
}

/** [classes, embedDim]. Every rank encodes a share of the captions, in whole batches; all get the same bits. Collective. */
export async function classVectors(model: TextModel, prompts: Prompts, group: ProcessGroup): Promise<Float32Array> {
  const { embedDim } = model;
  const captions = prompts.labels.map((texts) => captionsOf(texts, prompts.templates));
  const rows = await encodeShared(model, captions.flat(), group);
  const vectors = new Float32Array(captions.length * embedDim);
  let row = 0;
  captions.forEach((ofClass, k) => {
    const mean = vectors.subarray(k * embedDim, (k + 1) * embedDim);
    for (const _ of ofClass) {
      for (let i = 0; i < embedDim; i++) mean[i] += rows[row * embedDim + i] / ofClass.length;
      row += 1;
    }
  });
  return unitRows(vectors, captions.length);
}

async function encodeShared(model: TextModel, texts: readonly string[], group: ProcessGroup): Promise<Float32Array> {
  const { embedDim, contextLength, truncate } = model;
  const { batchSize } = model.texts;
  const batches = Math.ceil(texts.length / batchSize);
  const boundary = (rank: number) => Math.min(texts.length, batchSize * Math.floor((batches * rank) / group.worldSize));
  const lengths = Array.from({ length: group.worldSize }, (_, r) => (boundary(r + 1) - boundary(r)) * embedDim);
  const own = new Float32Array(lengths[group.rank]);
  const [first, end] = [boundary(group.rank), boundary(group.rank + 1)];
  for (let start = first; start < end; start += batchSize) {
    const part = texts.slice(start, Math.min(end, start + batchSize));
    const tokens = textBatch(part, contextLength, truncate);
    own.set(await model.texts.encode(tokens, part.length), (start - first) * embedDim);
  }
  const all = new Float32Array(texts.length * embedDim);
  await group.allGather(own, all, lengths);
  return all;
}
