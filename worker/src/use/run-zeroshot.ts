// The task zeroshot: a model on the sets of a catalogue, one after the other, shared among the ranks. A stopped or killed evaluation goes
// on with the sets that are missing.
import { createHash } from 'node:crypto';
import path from 'node:path';
import type { ZeroShotConfig } from '@slip/config';
import { type Logger, SlipError } from '@slip/core';
import { catalogNames, isLabelledSetThere } from '@slip/data';
import { cachedBy, type Encoder, imageEncoder, textEncoder } from '../encode/encoder.js';
import { requireText } from '../encode/open-model.js';
import { classVectors } from '../evaluation/class-vectors.js';
import { figureOf } from '../evaluation/classification-metrics.js';
import { openZeroShotSet, type ZeroShotSet } from '../evaluation/open-set.js';
import { zeroShot } from '../evaluation/zero-shot.js';
import { keptVectors } from './kept-vectors.js';
import { modelForUse, type UsedModel } from './model-for-use.js';
import type { UsePlace } from './run-embed.js';
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

interface Evaluation {
  readonly config: ZeroShotConfig;
  readonly place: UsePlace;
  readonly model: UsedModel;
  readonly weightsKey: string;
  readonly pictures: Encoder;
}

/**
 * Leaves `zeroshot.json` and `zeroshot.md` in the output folder. Collective.
 * @param print told the table and the summary, on rank 0
 * @throws SlipError `stopped` on all ranks alike; sets that are done are kept
 */
export async function runZeroShot(
  config: ZeroShotConfig,
  place: UsePlace,
  print: (line: string) => void,
): Promise<void> {
  const { group, log, threads } = place;
  const first = group.rank === 0 ? log : undefined;
  const model = await modelForUse(config.resume, config, place);
  wantOurWords(model);
  const { sets, missing } = await openSets(config, first);
  const weightsKey = createHash('sha256').update(model.version).digest('hex').slice(0, 16);
  const weights = { path: config.resume, model: model.config.name, key: weightsKey };
  const { batchSize } = config;
  const pictures = await imageEncoder(model.config, model.tensors, {
    batchSize,
    threads,
    unit: true,
    ...cachedBy(place.device),
  });
  const evaluation = { config, place, model, weightsKey, pictures };
  try {
    const kept = config.restart || group.rank !== 0 ? {} : await readResults(config.outputDir, weightsKey);
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
      done.set(set.name, result);
      first?.info(describeResult(set, result));
      if (group.rank === 0) await writeResults(config.outputDir, resultsNow());
    }
    if (group.rank === 0) {
      const results = resultsNow();
      await writeResults(config.outputDir, results);
      print(`all results:\n${textTable(results)}\n${summaryLine(results)}`);
      log.info(`results: ${path.join(config.outputDir, 'zeroshot.md')} and zeroshot.json`);
    }
    await group.barrier();
  } finally {
    await pictures.close();
    for (const { images } of sets) images.close();
  }
}

/** What the tokenizer's largest number is, and one. */
const WORDS = 49_408;

/** @throws SlipError `config` for a SimCLR model, `unsupported` for one with another vocabulary */
function wantOurWords(model: UsedModel): void {
  const { vocabSize } = requireText(model, 'zero-shot classification');
  if (vocabSize === WORDS) return;
  throw new SlipError(
    'unsupported',
    `${model.path} has a vocabulary of ${vocabSize} words; the tokenizer has ${WORDS}, so its texts cannot be made`,
  );
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

async function evaluateSet(evaluation: Evaluation, set: ZeroShotSet, key: string, title: string): Promise<SetResult> {
  const { config, place, model, pictures: encoder } = evaluation;
  const { group, stopRequested } = place;
  const startedAt = performance.now();
  const classes = await vectorsOf(evaluation, set);
  const imageSize = model.config.vision.imageSize;
  const onProgress = tellProgress(place, title, set.images.length);
  const found = await zeroShot({
    ...{ images: set.images, classes, encoder, imageSize, group, stopRequested, onProgress },
    logitScale: model.logitScale ?? 1,
    ...(config.saveScores ? { scoresFile: path.join(config.outputDir, 'scores', `${set.name}.npy`) } : {}),
  });
  if (found === undefined) throw new SlipError('stopped', 'asked to stop; sets that are done are kept');
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
  const { config, place, model, weightsKey } = evaluation;
  const { group, threads } = place;
  const { outputDir, truncate } = config;
  const { embedDim, text } = model.config;
  const store = { folder: path.join(outputDir, 'class-vectors'), key: `${weightsKey} ${truncate}` };
  return keptVectors(store, name, prompts, prompts.labels.length * embedDim, group, async () => {
    const texts = await textEncoder(model.config, model.tensors, {
      batchSize: TEXT_BATCH,
      threads,
      unit: true,
      ...cachedBy(place.device),
    });
    const textModel = { contextLength: text!.contextLength, embedDim, truncate, texts };
    return classVectors(textModel, prompts, group).finally(() => texts.close());
  });
}

function tellProgress({ group, log, showProgress }: UsePlace, title: string, images: number) {
  let told = performance.now();
  return (done: number, total: number) => {
    if (group.rank !== 0) return;
    const share = total === 0 ? 1 : done / total;
    const about = Math.round(share * images);
    showProgress({ share, text: title });
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

/** What the figures of a set depend on. */
function keyOfSet({ weightsKey, config }: Evaluation, { name, images, prompts, metric }: ZeroShotSet): string {
  const { truncate } = config;
  const ends = [images.describe(0), images.describe(images.length - 1)].map(({ image }) => image.name);
  const facts = [weightsKey, truncate, name, metric, images.length, images.classes, ends, prompts];
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16);
}
