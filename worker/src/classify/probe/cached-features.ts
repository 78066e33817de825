// The tower's features of this rank's share of labelled pictures: computed once, and kept in the run folder for the next start.
import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { ProcessGroup } from '@slip/comms';
import { type Logger, SlipError, writeFileAtomic } from '@slip/core';
import { createEvalLoader, evalShare, type LabelledDataset, type LabelledView } from '@slip/data';
import { towerFeatureStep } from '@slip/model';
import type { ClassifierConfig, StateLayout } from '@slip/model/architecture';
import { executorOf } from '../../evaluation/state-executor.js';
import type { TrainState } from '../../pretrain/train-state.js';
import type { ShardedRows } from './solve.js';

const IMAGE_BATCH = 64;

export interface FeatureTask {
  readonly classifier: ClassifierConfig;
  readonly layout: StateLayout;
  readonly state: TrainState;
  readonly view: LabelledView;
  readonly group: ProcessGroup;
  readonly threads: number;
  /** Where features are kept. */
  readonly folder: string;
  /** Whatever else the features depend on: the weights. */
  readonly key: string;
  readonly log: Logger;
  readonly stopRequested: () => boolean;
}

/** The share of this rank, whose pictures are neighbours in the set. Collective. @throws SlipError `stopped` on all ranks alike */
export async function featuresOf(task: FeatureTask, split: string, images: LabelledDataset): Promise<ShardedRows> {
  const { group, classifier, folder } = task;
  const total = images.length;
  const { rank, worldSize } = group;
  const [first, end] = evalShare({ dataset: images, batchSize: IMAGE_BATCH, rank, worldSize });
  const share = Array.from({ length: end - first }, (_, i) => images.describe(first + i));
  const labels = Int32Array.from(share, ({ label }) => label);
  const { width, imageSize } = classifier.vision;
  const items = share.map(({ image, label }) => ({ file: image.name, label }));
  const facts = [task.key, imageSize, task.view, first, end, items];
  const name = createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16);
  const file = path.join(folder, `${split}-${name}.f32`);
  const kept = await readFeatures(file, labels.length * width);
  const features = kept ?? (await compute(task, images));
  if (kept === undefined && features !== undefined) {
    await mkdir(folder, { recursive: true });
    await writeFileAtomic(file, new Uint8Array(features.buffer));
  }
  const stopped = await group.allGatherObject(features === undefined);
  if (features === undefined || stopped.some(Boolean)) throw new SlipError('stopped', 'asked to stop');
  return { features, labels, first, total };
}

async function readFeatures(file: string, length: number): Promise<Float32Array | undefined> {
  const bytes = await readFile(file).catch(() => undefined);
  if (bytes?.byteLength !== 4 * length) return undefined;
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

/** @returns undefined when this rank was asked to stop */
async function compute(task: FeatureTask, images: LabelledDataset): Promise<Float32Array | undefined> {
  const { classifier, layout, state, view, group, threads, log } = task;
  const { width, imageSize } = classifier.vision;
  const definition = towerFeatureStep(classifier, layout, IMAGE_BATCH);
  const executor = await executorOf(definition, state, threads);
  try {
    const parts: Float32Array[] = [];
    let done = 0;
    let told = performance.now();
    const shared = { imageSize, batchSize: IMAGE_BATCH, rank: group.rank, worldSize: group.worldSize, view };
    for await (const batch of createEvalLoader({ dataset: images, ...shared })) {
      const input = executor.input('image') as Float32Array;
      input.set(batch.images);
      input.fill(0, batch.images.length);
      await executor.run();
      parts.push((executor.output('features') as Float32Array).slice(0, batch.items.length * width));
      done += batch.items.length * group.worldSize;
      if (task.stopRequested()) return undefined;
      if (group.rank !== 0 || performance.now() - told < 5000) continue;
      told = performance.now();
      log.info(`features: about ${done.toLocaleString('en')} of ${images.length.toLocaleString('en')} pictures`);
    }
    const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  } finally {
    await executor.close();
  }
}
