// The model that a task was given, and encoders of it that are made when something is to be encoded.
import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { UseConfig } from '@slip/config';
import { findPretrained } from '@slip/weights';
import { encodeAll, imageBatch, textBatch } from '../encode/batches.js';
import { type Encoder, imageEncoder, textEncoder } from '../encode/encoder.js';
import { type OpenedModel, openModel, requireText } from '../encode/open-model.js';
import type { TaskPlace } from '../pretrain/run-training.js';

export interface UsedModel extends OpenedModel {
  /** Changes with the file. */
  readonly version: string;
}

/** @param resume as it was given, or as an embedded folder tells it. @throws SlipError `checkpoint`, `unsupported` or `config` */
export async function modelForUse(
  resume: string,
  config: UseConfig,
  { group, log, cacheFolder }: TaskPlace,
): Promise<UsedModel> {
  const file = await findPretrained(resume, cacheFolder);
  const { visionHeads, textHeads } = config;
  const model = await openModel(file, { visionHeads, textHeads });
  if (group.rank === 0) for (const note of model.notes) log.warn(`${file}: ${note}`);
  return { ...model, version: `${path.resolve(file)} ${(await stat(file)).mtimeMs}` };
}

/** Encodes texts and pictures; closes what it opened. */
export class ModelEncoders {
  readonly #model: OpenedModel;
  readonly #options: { readonly batchSize: number; readonly threads: number; readonly unit: boolean };
  readonly #truncate: UseConfig['truncate'];
  #images: Promise<Encoder> | undefined;
  #texts: Promise<Encoder> | undefined;

  constructor(
    model: OpenedModel,
    { truncate, ...options }: { batchSize: number; threads: number; unit: boolean; truncate: UseConfig['truncate'] },
  ) {
    this.#model = model;
    this.#options = options;
    this.#truncate = truncate;
  }

  /** [images, width] @throws SlipError `data` naming an unreadable image */
  async images(files: readonly string[]): Promise<Float32Array> {
    const { config, tensors } = this.#model;
    this.#images ??= imageEncoder(config, tensors, this.#options);
    return encodeAll(await this.#images, files, (batch) => imageBatch(batch, config.vision.imageSize));
  }

  /** [texts, width] @throws SlipError `config` for a model that knows no texts */
  async texts(texts: readonly string[]): Promise<Float32Array> {
    const { contextLength } = requireText(this.#model, 'a text');
    this.#texts ??= textEncoder(this.#model.config, this.#model.tensors, this.#options);
    return encodeAll(await this.#texts, texts, async (batch) => textBatch(batch, contextLength, this.#truncate));
  }

  async close(): Promise<void> {
    for (const encoder of [this.#images, this.#texts]) await (await encoder)?.close();
  }
}
