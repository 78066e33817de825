// The task embed: features of a folder of pictures and of a file of texts, as matrices with the names of their rows.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { type StreamedTensor, writeSafetensors } from '@slip/checkpoint';
import type { EmbedConfig, RecallConfig } from '@slip/config';
import { SlipError } from '@slip/core';
import { listImageFiles } from '@slip/data';
import { requireText } from '../encode/open-model.js';
import { SlipModel } from '../encode/slip-model.js';
import type { TaskPlace } from '../pretrain/run-training.js';
import { type EmbeddingFacts, linesOf, readFacts, writeFacts, writeNames } from './embedding-folder.js';
import { modelForUse, type UsedModel } from './model-for-use.js';
import { shareFeatures } from './shared-features.js';

export interface UsePlace extends TaskPlace {
  readonly stopRequested: () => boolean;
  /** For the bar on the terminal. */
  readonly showProgress: (progress: { share: number; text: string }) => void;
}

/** What is to be embedded. */
export interface EmbedInput {
  readonly images?: { readonly root: string; readonly files: readonly string[] };
  readonly texts?: readonly string[];
}

/** Collective. @throws SlipError `stopped` on all ranks alike; `data` naming an unreadable file */
export async function runEmbed(config: EmbedConfig, place: UsePlace): Promise<void> {
  const begin = performance.now();
  const input: EmbedInput = {
    ...(config.images === '' ? {} : { images: { root: config.images, files: await listImageFiles(config.images) } }),
    ...(config.texts === '' ? {} : { texts: await readTexts(config.texts) }),
  };
  const facts = await embedInto(config.outputDir, input, config, place);
  if (place.group.rank !== 0) return;
  const files = await filesOf(config.outputDir, facts, config.safetensors);
  const counts = [
    ...(facts.images === undefined ? [] : [`${facts.images.rows.toLocaleString('en')} images`]),
    ...(facts.texts === undefined ? [] : [`${facts.texts.rows.toLocaleString('en')} texts`]),
  ];
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  place.log.info(`embed * ${counts.join(' and ')} of width ${facts.width} in ${seconds} s: ${files.join(', ')}`);
}

async function readTexts(file: string): Promise<string[]> {
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new SlipError('data', `--texts ${file} cannot be read: ${error.message}`, { cause: error });
  });
  const lines = linesOf(text);
  if (lines.length === 0) throw new SlipError('data', `--texts ${file} has no lines; a text a line is wanted`);
  return lines;
}

/** Fills the folder, or finds that it is filled already. Collective; the folder is complete when rank 0 returns. */
export async function embedInto(
  folder: string,
  input: EmbedInput,
  config: EmbedConfig | RecallConfig,
  place: UsePlace,
): Promise<EmbeddingFacts> {
  const model = await modelForUse(config.resume, config, place);
  if (input.texts !== undefined) requireText(model, 'embedding texts');
  const facts = factsOf(input, model, config);
  const earlier = await readFacts(folder).catch(() => undefined);
  // Before a file is replaced, so that no rank reads it in between.
  await place.group.barrier();
  const { batchSize, truncate } = config;
  const encoders = new SlipModel(model, { batchSize, truncate, threads: place.threads });
  const shared = { folder, width: facts.width, batchSize, group: place.group, stopRequested: place.stopRequested };
  const finishers: (() => Promise<void>)[] = [];
  try {
    const { images, texts } = input;
    if (images !== undefined && earlier?.images?.key !== facts.images!.key) {
      const finish = await shareFeatures({
        ...{ ...shared, name: 'image', total: images.files.length, key: facts.images!.key },
        encode: (first, end) =>
          encoders.encodeImages(images.files.slice(first, end).map((file) => path.join(images.root, file))),
        told: progressOf('images', images.files.length, place),
      });
      finishers.push(finish, () => writeNames(folder, 'images', images.files));
    }
    if (texts !== undefined && earlier?.texts?.key !== facts.texts!.key) {
      const finish = await shareFeatures({
        ...{ ...shared, name: 'text', total: texts.length, key: facts.texts!.key },
        encode: (first, end) => encoders.encodeTexts(texts.slice(first, end)),
        told: progressOf('texts', texts.length, place),
      });
      finishers.push(finish, () => writeNames(folder, 'texts', texts));
    }
    if (place.group.rank !== 0) return facts;
    for (const finish of finishers) await finish();
    await writeFacts(folder, facts);
    await rm(path.join(folder, 'parts'), { recursive: true, force: true });
    return facts;
  } finally {
    await encoders.close();
  }
}

function factsOf(input: EmbedInput, model: UsedModel, config: EmbedConfig | RecallConfig): EmbeddingFacts {
  const { truncate, batchSize, resume } = config;
  const { embedDim, vision, text, name } = model.config;
  const keyOf = (...parts: unknown[]) =>
    createHash('sha256')
      .update(JSON.stringify([model.version, batchSize, vision.heads, text?.heads, ...parts]))
      .digest('hex')
      .slice(0, 16);
  const { images, texts } = input;
  return {
    model: { resume, path: path.resolve(model.path), name },
    width: text === undefined ? vision.width : embedDim,
    truncate,
    ...(images === undefined
      ? {}
      : {
          images: {
            root: path.resolve(images.root),
            rows: images.files.length,
            key: keyOf(path.resolve(images.root), images.files),
          },
        }),
    ...(texts === undefined ? {} : { texts: { rows: texts.length, key: keyOf(truncate, texts) } }),
  };
}

function progressOf(what: string, total: number, { group, log, showProgress }: UsePlace): (rows: number) => void {
  const begin = performance.now();
  let told = begin;
  let first: number | undefined;
  return (rows) => {
    if (group.rank !== 0) return;
    first ??= rows;
    const now = performance.now();
    const text = `${rows.toLocaleString('en')} of ${total.toLocaleString('en')} ${what}`;
    showProgress({ share: rows / total, text });
    if (now - told < 5000) return;
    told = now;
    log.info(`embed: ${text}, ${((1000 * (rows - first)) / (now - begin)).toFixed(1)} a second`);
  };
}

async function filesOf(folder: string, facts: EmbeddingFacts, safetensors: boolean): Promise<string[]> {
  const present = (['image', 'text'] as const).filter((name) => facts[`${name}s`] !== undefined);
  const files = present.map((name) => path.join(folder, `${name}_features.npy`));
  if (!safetensors) return files;
  const tensors = await Promise.all(
    present.map((name, i) => streamed(`${name}_features`, files[i], facts[`${name}s`]!.rows, facts.width)),
  );
  const file = path.join(folder, 'features.safetensors');
  await writeSafetensors(file, tensors, { model: facts.model.name, weights: facts.model.path });
  return [...files, file];
}

async function streamed(name: string, file: string, rows: number, width: number): Promise<StreamedTensor> {
  const byteLength = 4 * rows * width;
  const start = (await stat(file)).size - byteLength;
  return { name, dtype: 'F32', shape: [rows, width], byteLength, chunks: () => createReadStream(file, { start }) };
}
