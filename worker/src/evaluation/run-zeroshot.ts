// The task zeroshot: a model on the sets of a catalogue, one after the other, shared among the ranks. A stopped or killed evaluation goes
// on with the sets that are missing.
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { ProcessGroup } from '@slip/comms';
import type { ZeroShotConfig } from '@slip/config';
import { type Logger, SlipError } from '@slip/core';
import { catalogNames, isLabelledSetThere } from '@slip/data';
import { findPretrained } from '@slip/weights';
import { type Encoder, imageEncoder, textEncoder } from '../encode/encoder.js';
import { type OpenedModel, openModel, requireText } from '../encode/open-model.js';
import { listenForStop } from '../pretrain/stop-request.js';
import type { WorkerEnvironment, WorkerSession } from '../session/session.js';
import { withGroup } from '../session/with-group.js';
import { classVectors } from './class-vectors.js';
import { figureOf } from './classification-metrics.js';
import { keptVectors } from './kept-vectors.js';
import { openZeroShotSet, type ZeroShotSet } from './open-set.js';
import { zeroShot } from './zero-shot.js';
import {
  readResults,
  type SetResult,
  summaryLine,
  textTable,
  writeResults,
  type ZeroShotResults,
} from './zeroshot-results.js';

const TEXT_BATCH = 32;
const TELL_MS = 10_000;

export interface ZeroShotContext {
  readonly config: ZeroShotConfig;
  readonly environment: WorkerEnvironment;
  readonly session: WorkerSession;
  readonly log: Logger;
}

/** The whole life of a worker. Leaves `zeroshot.json` and `zeroshot.md` in the output folder. */
export async function runZeroShot(context: ZeroShotContext): Promise<'completed' | 'stopped'> {
  const stop = listenForStop((signal) => context.log.warn(`${signal} received: stopping`));
  return withGroup(context, context.config, (group) => evaluateAll(context, group, () => stop.signal !== undefined));
}

interface Evaluation {
  readonly context: ZeroShotContext;
  readonly group: ProcessGroup;
  readonly model: OpenedModel;
  readonly weightsKey: string;
  readonly threads: number;
  readonly pictures: Encoder;
  readonly stopRequested: () => boolean;
}

async function evaluateAll(
  context: ZeroShotContext,
  group: ProcessGroup,
  stopRequested: () => boolean,
): Promise<'completed' | 'stopped'> {
  const { config, environment, log } = context;
  const { visionHeads, textHeads, threads: wanted, batchSize } = config;
  const file = await findPretrained(config.resume, environment.cacheFolder);
  const model = await openModel(file, { visionHeads, textHeads });
  requireText(model, 'zero-shot classification');
  const first = group.rank === 0 ? log : undefined;
  for (const note of model.notes) first?.warn(`${file}: ${note}`);
  const { sets, missing } = await openSets(config, first);
  const weightsKey = await keyOfWeights(file);
  const weights = { path: config.resume, model: model.config.name, key: weightsKey };
  const cores = Math.max(1, environment.numCpus ?? Math.floor(os.availableParallelism() / environment.localWorldSize));
  const threads = wanted > 0 ? wanted : cores;
  const pictures = await imageEncoder(model.config, model.tensors, { batchSize, threads, unit: true });
  const evaluation = { context, group, model, weightsKey, threads, pictures, stopRequested };
  try {
    const kept = config.restart ? {} : await readResults(config.outputDir, weightsKey);
    const [before] = await group.allGatherObject(kept);
    const done = new Map(Object.entries(before));
    const resultsNow = (): ZeroShotResults => ({ weights, sets: inOrder(done, sets), missing });
    for (const [k, set] of sets.entries()) {
      const key = keyOfSet(evaluation, set);
      if (done.get(set.name)?.key === key) {
        first?.info(`0-shot ${set.name}: done before`);
        continue;
      }
      const result = await evaluateSet(evaluation, set, key, `${set.name} (${k + 1} of ${sets.length})`);
      if (result === undefined) return leave(group, first, done.size);
      done.set(set.name, result);
      first?.info(describeResult(set, result));
      if (group.rank === 0) await writeResults(config.outputDir, resultsNow());
    }
    if (group.rank === 0) {
      const results = resultsNow();
      await writeResults(config.outputDir, results);
      process.stdout.write(`all results:\n${textTable(results)}\n${summaryLine(results)}\n`);
      log.info(`results: ${path.join(config.outputDir, 'zeroshot.md')} and zeroshot.json`);
    }
    await group.barrier();
    return 'completed';
  } finally {
    await pictures.close();
    for (const { images } of sets) images.close();
  }
}

async function leave(group: ProcessGroup, first: Logger | undefined, done: number): Promise<'stopped'> {
  first?.info(`stopped with ${done} sets done; the same command goes on with the others`);
  await group.barrier();
  return 'stopped';
}

/** In the order of this call; results of other sets, from earlier calls, stay behind them. */
function inOrder(done: ReadonlyMap<string, SetResult>, sets: readonly ZeroShotSet[]): Record<string, SetResult> {
  const names = new Set([...sets.map(({ name }) => name), ...done.keys()]);
  return Object.fromEntries([...names].flatMap((name) => (done.has(name) ? [[name, done.get(name)!]] : [])));
}

/** All that are asked for, before anything is computed; of the whole catalogue, those that are there. */
async function openSets(config: ZeroShotConfig, log: Logger | undefined) {
  const asked = config.datasets ?? [];
  const names = asked.length > 0 ? asked : await catalogNames(config);
  const sets: ZeroShotSet[] = [];
  const missing: string[] = [];
  for (const name of names) {
    if (asked.length === 0 && !(await isLabelledSetThere(config, name))) missing.push(name);
    else sets.push(await openZeroShotSet(config, name, (message) => log?.warn(message)));
  }
  if (missing.length > 0) log?.warn(`${missing.length} of ${names.length} sets are not there: ${missing.join(', ')}`);
  if (sets.length === 0) {
    throw new SlipError(
      'data',
      `none of the ${names.length} sets is below ${config.catalog || config.root}; slip-data prepare makes them`,
    );
  }
  return { sets, missing };
}

/** @returns undefined, on all ranks, when one was asked to stop */
async function evaluateSet(
  evaluation: Evaluation,
  set: ZeroShotSet,
  key: string,
  title: string,
): Promise<SetResult | undefined> {
  const { context, group, model, pictures: encoder, stopRequested } = evaluation;
  const startedAt = performance.now();
  const classes = await vectorsOf(evaluation, set);
  const imageSize = model.config.vision.imageSize;
  const onProgress = tellProgress(context, group, title, set.images.length);
  const found = await zeroShot({
    ...{ images: set.images, classes, encoder, imageSize, group, stopRequested, onProgress },
    logitScale: model.logitScale ?? 1,
  });
  if (found === undefined) return undefined;
  const { figures, auc } = found;
  return {
    key,
    metric: set.metric,
    value: figureOf(set.metric, figures, auc),
    ...(auc === undefined ? {} : { auc }),
    figures,
    seconds: Math.round((performance.now() - startedAt) / 100) / 10,
  };
}

function vectorsOf(evaluation: Evaluation, { name, prompts }: ZeroShotSet): Promise<Float32Array> {
  const { context, group, model, weightsKey, threads } = evaluation;
  const { outputDir, truncate } = context.config;
  const { embedDim, text } = model.config;
  const store = { folder: path.join(outputDir, 'class-vectors'), key: `${weightsKey} ${truncate}` };
  return keptVectors(store, name, prompts, prompts.labels.length * embedDim, group, async () => {
    const texts = await textEncoder(model.config, model.tensors, { batchSize: TEXT_BATCH, threads, unit: true });
    const textModel = { contextLength: text!.contextLength, embedDim, truncate, texts };
    return classVectors(textModel, prompts, group).finally(() => texts.close());
  });
}

function tellProgress({ session, log }: ZeroShotContext, group: ProcessGroup, title: string, images: number) {
  let told = performance.now();
  return (done: number, total: number) => {
    if (group.rank !== 0) return;
    const share = total === 0 ? 1 : done / total;
    const about = Math.round(share * images);
    session.showProgress({ share, text: title });
    if (performance.now() - told < TELL_MS) return;
    told = performance.now();
    log.info(`${title}: about ${about.toLocaleString('en-US')} of ${images.toLocaleString('en-US')} pictures`);
  };
}

function describeResult({ name, metric }: ZeroShotSet, { value, figures, seconds }: SetResult): string {
  return (
    `0-shot ${name} * ${metric} ${value.toFixed(3)} Acc@1 ${figures.acc1.toFixed(3)} Acc@5 ${figures.acc5.toFixed(3)} ` +
    `(${figures.images} images, ${figures.classes} classes, ${seconds.toFixed(1)} s)`
  );
}

/** A checkpoint's manifest names the digests of its tensors; of other files size and time have to do. */
async function keyOfWeights(file: string): Promise<string> {
  const manifest = await readFile(path.join(file, 'manifest.json')).catch(() => undefined);
  const { size, mtimeMs } = await stat(file);
  const facts = manifest ?? `${path.resolve(file)} ${size} ${mtimeMs}`;
  return createHash('sha256').update(facts).digest('hex').slice(0, 16);
}

/** What the figures of a set depend on. */
function keyOfSet({ weightsKey, context }: Evaluation, { name, images, prompts, metric }: ZeroShotSet): string {
  const { truncate } = context.config;
  const ends = [images.describe(0), images.describe(images.length - 1)].map(({ image }) => image.name);
  const facts = [weightsKey, truncate, name, metric, images.length, images.classes, ends, prompts];
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16);
}
