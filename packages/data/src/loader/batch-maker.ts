// One micro-batch from sample numbers: decode once, cut every view, tokenize one caption or note the label. The same bytes in
// whatever thread.
import { invariant, RandomStream, SlipError } from '@slip/core';
import type { CaptionedDataset } from '../datasets/captioned-dataset.js';
import type { LabelledDataset } from '../datasets/labelled-dataset.js';
import { decodeImage } from '../images/decode-image.js';
import { Tokenizer, type Truncate } from '../tokenizer/tokenizer.js';
import { type LabelledView, labelledTrainView } from '../transforms/labelled-view.js';
import type { PixelImage } from '../transforms/pixel-image.js';
import { clipView, sslView, type ViewTarget } from '../transforms/views.js';

export type View = 'image' | 'aug1' | 'aug2' | 'tokens';

/** Whatever can be loaded from. */
export type AnyDataset = CaptionedDataset | LabelledDataset;

export interface BatchOptions {
  readonly views: readonly View[];
  /** Of labelled pictures, which have this one view as `image` and their labels beside it. */
  readonly labelled?: LabelledView;
  readonly imageSize: number;
  readonly contextLength: number;
  readonly seed: number;
  readonly truncate: Truncate;
  /** `replace`: an unreadable sample gives its place to the next one of the set. */
  readonly badSamples: 'fail' | 'replace';
  /** Decoded pictures of a set that fits into so much memory are kept: decoding is most of the work for small ones. */
  readonly cacheBytes: number;
}

export interface MadeBatch {
  readonly image?: Float32Array;
  readonly aug1?: Float32Array;
  readonly aug2?: Float32Array;
  readonly tokens?: Int32Array;
  readonly labels?: Int32Array;
  readonly replaced: number;
}

/** So many neighbours are tried in place of an unreadable sample. */
const MAX_REPLACEMENTS = 100;

export class BatchMaker {
  private readonly dataset: AnyDataset;
  private readonly options: BatchOptions;
  private readonly cache = new Map<number, PixelImage>();
  private cachedBytes = 0;
  private caches = true;

  constructor(dataset: AnyDataset, options: BatchOptions) {
    this.dataset = dataset;
    this.options = options;
  }

  /** @throws SlipError `data` naming an unreadable file, unless it may be replaced */
  async make(epoch: number, samples: Uint32Array): Promise<MadeBatch> {
    const { views, imageSize, contextLength } = this.options;
    const pixels = samples.length * 3 * imageSize ** 2;
    const batch: Record<string, Float32Array | Int32Array> = {};
    for (const view of views) {
      batch[view] = view === 'tokens' ? new Int32Array(samples.length * contextLength) : new Float32Array(pixels);
    }
    const images = await Promise.all(Array.from(samples, (sample) => this.read(sample)));
    let replaced = 0;
    images.forEach(({ sample, image }, row) => {
      if (sample !== samples[row]) replaced += 1;
      for (const view of views) this.cut(view, batch[view], row, { epoch, sample, image });
    });
    const labels = this.options.labelled === undefined ? {} : { labels: this.labelsOf(images) };
    return { ...batch, ...labels, replaced };
  }

  private labelsOf(images: readonly { sample: number }[]): Int32Array {
    return Int32Array.from(images, ({ sample }) => {
      const described = this.dataset.describe(sample);
      invariant('label' in described, 'a labelled view is of a labelled set');
      return described.label;
    });
  }

  private cut(
    view: View,
    into: Float32Array | Int32Array,
    row: number,
    { epoch, sample, image }: { epoch: number; sample: number; image: PixelImage },
  ): void {
    const { seed, imageSize, contextLength, truncate, labelled } = this.options;
    const stream = new RandomStream(seed, 'augment', epoch, sample, view);
    if (view === 'tokens') {
      const described = this.dataset.describe(sample);
      invariant('captions' in described, 'tokens are of a set with captions');
      const { captions } = described;
      const caption = captions[stream.integer(captions.length)];
      into.set(Tokenizer.load().tokenize(caption, { contextLength, truncate }), row * contextLength);
      return;
    }
    const target: ViewTarget = { size: imageSize, out: into as Float32Array, offset: row * 3 * imageSize ** 2 };
    if (labelled !== undefined) labelledTrainView(image, stream, target, labelled);
    else if (view === 'image') clipView(image, stream, target);
    else sslView(image, stream, target);
  }

  private async read(sample: number): Promise<{ sample: number; image: PixelImage }> {
    for (let tried = 0; ; tried++) {
      const candidate = (sample + tried) % this.dataset.length;
      try {
        return { sample: candidate, image: await this.decode(candidate) };
      } catch (error) {
        const { code, message } = SlipError.from(error);
        if (code !== 'data') throw error;
        if (this.options.badSamples === 'fail') {
          throw new SlipError(code, `${message} (sample ${candidate}); repair it, or pass --bad-samples replace`, {
            cause: error,
          });
        }
        if (tried === MAX_REPLACEMENTS) {
          throw new SlipError(code, `${message}; nor can the ${MAX_REPLACEMENTS} samples before it; look at the set`, {
            cause: error,
          });
        }
      }
    }
  }

  private async decode(sample: number): Promise<PixelImage> {
    const known = this.cache.get(sample);
    if (known !== undefined) return known;
    const image = await decodeImage(this.dataset.describe(sample).image);
    if (this.caches && !this.cache.has(sample)) this.remember(sample, image);
    return image;
  }

  private remember(sample: number, image: PixelImage): void {
    this.cachedBytes += image.data.length;
    if (this.cachedBytes <= this.options.cacheBytes) {
      this.cache.set(sample, image);
      return;
    }
    this.caches = false;
    // The part that fits of a much larger set would be met too seldom to be worth its memory.
    if (this.cache.size < this.dataset.length / 4) this.cache.clear();
  }
}
