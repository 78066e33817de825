// A model that is ready to be used: features of pictures and texts, and which of some labels fits a picture.
import os from 'node:os';
import type { ImageSource, Truncate } from '@slip/data';
import type { ModelConfig } from '@slip/model/architecture';
import { cacheFolder, findPretrained } from '@slip/weights';
import { encodeAll, imageBatch, textBatch } from './batches.js';
import { probabilitiesOf } from './cosines.js';
import { type Encoder, imageEncoder, textEncoder, unitRows } from './encoder.js';
import { type OpenedModel, openModel, requireText } from './open-model.js';

export interface UseOptions {
  /** Pictures or texts that are computed at a time, 32 unless given. */
  readonly batchSize?: number;
  /** Compute threads, as many as there are cores unless given. */
  readonly threads?: number;
  /** What happens to texts that are too long: `keep-eot` unless given, `drop-eot` as in the original. */
  readonly truncate?: Truncate;
}

export interface LoadOptions extends UseOptions {
  /** Attention heads, for weights that do not tell. */
  readonly visionHeads?: number;
  readonly textHeads?: number;
}

/** A path, or the bytes of a picture file. */
export type Picture = string | Uint8Array;

export interface LabelProbability {
  readonly label: string;
  /** 0 to 1; those of all labels add up to 1. */
  readonly probability: number;
}

export class SlipModel {
  readonly config: ModelConfig;
  readonly #model: OpenedModel;
  readonly #options: Required<UseOptions>;
  #images: Promise<Encoder> | undefined;
  #texts: Promise<Encoder> | undefined;

  constructor(model: OpenedModel, options: UseOptions = {}) {
    this.config = model.config;
    this.#model = model;
    this.#options = { batchSize: 32, threads: os.availableParallelism(), truncate: 'keep-eot', ...options };
  }

  /**
   * @param source a checkpoint folder of ours, a `.pt` or safetensors file, or a published model that was downloaded before
   * @throws SlipError `checkpoint`, `unsupported` or `config`, in one line
   */
  static async load(source: string, { visionHeads, textHeads, ...options }: LoadOptions = {}): Promise<SlipModel> {
    const file = await findPretrained(source, cacheFolder(process.env));
    return new SlipModel(await openModel(file, { visionHeads, textHeads }), options);
  }

  /** Numbers in a row of features: the shared space of pictures and texts, or the tower's own width for SimCLR. */
  get width(): number {
    return this.config.text === undefined ? this.config.vision.width : this.config.embedDim;
  }

  /**
   * Short side to the model's size, centre crop, as in evaluation.
   * @returns [pictures, width], not normalised
   * @throws SlipError `data` naming a picture that cannot be read
   */
  async encodeImages(pictures: readonly Picture[]): Promise<Float32Array> {
    const { config, tensors } = this.#model;
    this.#images ??= imageEncoder(config, tensors, { ...this.#options, unit: false });
    const sources = pictures.map(asSource);
    return encodeAll(await this.#images, sources, (batch) => imageBatch(batch, config.vision.imageSize));
  }

  /** @returns [texts, width], not normalised. @throws SlipError `config` for a SimCLR model, which knows no texts */
  async encodeTexts(texts: readonly string[]): Promise<Float32Array> {
    const { contextLength } = requireText(this.#model, 'a text');
    const { config, tensors } = this.#model;
    this.#texts ??= textEncoder(config, tensors, { ...this.#options, unit: false });
    return encodeAll(await this.#texts, texts, async (batch) =>
      textBatch(batch, contextLength, this.#options.truncate),
    );
  }

  /**
   * For each picture the labels with their probabilities, best first: the softmax of scaled cosines.
   * @param template `{}` in it becomes the label
   */
  async classify(
    pictures: readonly Picture[],
    labels: readonly string[],
    template = '{}',
  ): Promise<LabelProbability[][]> {
    requireText(this.#model, 'choosing among labels');
    const texts = unitRows(
      await this.encodeTexts(labels.map((label) => template.replaceAll('{}', label))),
      labels.length,
    );
    const images = unitRows(await this.encodeImages(pictures), pictures.length);
    return pictures.map((_, row) =>
      probabilitiesOf(images.subarray(row * this.width, (row + 1) * this.width), texts, this.#model.logitScale!)
        .map((probability, k) => ({ label: labels[k], probability }))
        .sort((a, b) => b.probability - a.probability),
    );
  }

  /** Frees what computing has taken; the model may be used again. */
  async close(): Promise<void> {
    const opened = [this.#images, this.#texts];
    this.#images = undefined;
    this.#texts = undefined;
    for (const encoder of opened) await (await encoder)?.close();
  }
}

function asSource(picture: Picture, index: number): string | ImageSource {
  if (typeof picture === 'string') return picture;
  return { name: `picture ${index}`, bytes: async () => picture };
}
