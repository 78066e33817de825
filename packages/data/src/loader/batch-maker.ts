// One micro-batch from sample numbers, written into its memory: decode once, cut every view, tokenize one caption or note the label.
// The same bytes in whatever thread.
import { invariant, RandomStream, SlipError } from '@slip/core';
import type { CaptionedDataset } from '../datasets/captioned-dataset.js';
import type { LabelledDataset } from '../datasets/labelled-dataset.js';
import { type FetchedImage, fetchImage, unpackNow, unpackSlowly } from '../images/decode-image.js';
import type { ShrunkImage } from '../images/jpeg-decoder.js';
import { Tokenizer, type Truncate } from '../tokenizer/tokenizer.js';
import { type LabelledView, labelledTrainView } from '../transforms/labelled-view.js';
import { type ImageView, makeView, shrinkFor, type Transforms, viewBox } from '../transforms/views.js';
import { Workbench } from '../transforms/workbench.js';
import type { KernelMemory } from '../vector/kernel-memory.js';
import { arraysIn, type BatchArrays, type BatchShape, roomIn, type View } from './batch-slot.js';

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
  /** How the views of captioned pictures are made; the others are always exact. */
  readonly transforms: Transforms;
  /** `replace`: an unreadable sample gives its place to the next one of the set. */
  readonly badSamples: 'fail' | 'replace';
  /** Decoded pictures of a set that fits into so much memory are kept: decoding is most of the work for small ones. */
  readonly cacheBytes: number;
  /** Largest number of rows of a batch. */
  readonly maxRows: number;
}

/** Which samples could not be read and gave their places to others: why, one message each. */
export type Replaced = readonly string[];

/** So many neighbours are tried in place of an unreadable sample. */
const MAX_REPLACEMENTS = 100;
/** Pictures that are read, and unless they are JPEG unpacked, while one is being cut. */
const AHEAD = 4;

export class BatchMaker {
  private readonly dataset: AnyDataset;
  private readonly options: BatchOptions;
  private readonly shape: BatchShape;
  private readonly benches = new WeakMap<KernelMemory, Workbench>();
  private readonly cache = new Map<number, ShrunkImage>();
  private cachedBytes = 0;
  private caches = true;

  constructor(dataset: AnyDataset, options: BatchOptions) {
    this.dataset = dataset;
    this.options = options;
    this.shape = shapeOf(options);
  }

  /** @throws SlipError `data` naming an unreadable file, unless it may be replaced */
  async make(epoch: number, samples: Uint32Array, memory: KernelMemory): Promise<Replaced> {
    const arrays = arraysIn(memory, this.shape, samples.length);
    const coming: Promise<FetchedImage>[] = [];
    const replaced: string[] = [];
    for (let row = 0; row < samples.length; row++) {
      while (coming.length < AHEAD && row + coming.length < samples.length) {
        const fetched = this.fetch(samples[row + coming.length]);
        // An error belongs to the row that meets it.
        fetched.catch(() => undefined);
        coming.push(fetched);
      }
      await this.fill({ epoch, memory, arrays, row, replaced }, samples[row], coming.shift()!);
    }
    return replaced;
  }

  private async fill(place: Place, sample: number, first: Promise<FetchedImage>): Promise<void> {
    for (let tried = 0; ; tried++) {
      const candidate = (sample + tried) % this.dataset.length;
      try {
        await this.cut(place, candidate, await (tried === 0 ? first : this.fetch(candidate)));
        return;
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
        if (tried === 0) place.replaced.push(message);
      }
    }
  }

  /** Everything of one row. */
  private async cut(place: Place, sample: number, fetched: FetchedImage): Promise<void> {
    const { arrays, row } = place;
    const { views, labelled } = this.options;
    if (labelled === undefined) await this.cutViews(place, sample, fetched);
    else await this.cutLabelled(place, sample, fetched, labelled);
    if (views.includes('tokens'))
      this.tokenize(arrays.tokens!, row, this.streamOf(place.epoch, sample, 'tokens'), sample);
  }

  private async cutViews({ epoch, memory, arrays, row }: Place, sample: number, fetched: FetchedImage): Promise<void> {
    const { imageSize: size, transforms } = this.options;
    const views = this.options.views.filter((view): view is ImageView => view !== 'tokens');
    const draw = (width: number, height: number) =>
      views.map((view) => {
        const stream = this.streamOf(epoch, sample, view);
        return { view, stream, box: viewBox(view, stream, width, height) };
      });
    let drawn: ReturnType<typeof draw> | undefined;
    const chooseShrink = (width: number, height: number) => {
      if (transforms === 'exact' || !isLarge(width, height)) return 1;
      const boxes = draw(width, height);
      const shrink = shrinkFor(
        boxes.map(({ box }) => box),
        size,
      );
      if (shrink > 1) drawn = boxes;
      return shrink;
    };
    const image = unpackNow(fetched, chooseShrink) ?? (await unpackSlowly(fetched));
    // Not those that were drawn for a shrink which then could not be had.
    if (image.shrink === 1) drawn = draw(image.width, image.height);
    const bench = this.benchOn(memory);
    bench.hold(image);
    for (const { view, stream, box } of drawn!) {
      const place = arrays[view]!.byteOffset + 4 * row * 3 * size ** 2;
      makeView(bench, stream, { view, box, shrink: image.shrink, size, place });
    }
    this.remember(sample, image, fetched);
  }

  private async cutLabelled(
    { epoch, arrays, row }: Place,
    sample: number,
    fetched: FetchedImage,
    labelled: LabelledView,
  ): Promise<void> {
    const { imageSize: size } = this.options;
    const image = unpackNow(fetched, () => 1) ?? (await unpackSlowly(fetched));
    const described = this.dataset.describe(sample);
    invariant('label' in described, 'a labelled view is of a labelled set');
    arrays.labels![row] = described.label;
    const target = { size, out: arrays.image!, offset: row * 3 * size ** 2 };
    labelledTrainView(image, this.streamOf(epoch, sample, 'image'), target, labelled);
    this.remember(sample, image, fetched);
  }

  private tokenize(into: Int32Array, row: number, stream: RandomStream, sample: number): void {
    const { contextLength, truncate } = this.options;
    const described = this.dataset.describe(sample);
    invariant('captions' in described, 'tokens are of a set with captions');
    const { captions } = described;
    const caption = captions[stream.integer(captions.length)];
    into.set(Tokenizer.load().tokenize(caption, { contextLength, truncate }), row * contextLength);
  }

  private streamOf(epoch: number, sample: number, view: View): RandomStream {
    return new RandomStream(this.options.seed, 'augment', epoch, sample, view);
  }

  private benchOn(memory: KernelMemory): Workbench {
    const known = this.benches.get(memory);
    if (known !== undefined) return known;
    const bench = new Workbench(memory, roomIn(this.shape), this.options.transforms);
    this.benches.set(memory, bench);
    return bench;
  }

  private async fetch(sample: number): Promise<FetchedImage> {
    const image = this.cache.get(sample);
    const source = this.dataset.describe(sample).image;
    return image === undefined ? fetchImage(source) : { name: source.name, image };
  }

  /** Not what another epoch may want to be shrunk. */
  private remember(sample: number, image: ShrunkImage, fetched: FetchedImage): void {
    if (!this.caches || this.cache.has(sample)) return;
    const mayShrink = this.options.transforms === 'fast' && 'jpeg' in fetched;
    if (image.shrink > 1 || (mayShrink && isLarge(image.width, image.height))) return;
    this.cachedBytes += image.data.length;
    if (this.cachedBytes <= this.options.cacheBytes) {
      this.cache.set(sample, { ...image, data: 'jpeg' in fetched ? image.data.slice() : image.data });
      return;
    }
    this.caches = false;
    // The part that fits of a much larger set would be met too seldom to be worth its memory.
    if (this.cache.size < this.dataset.length / 4) this.cache.clear();
  }
}

/** Worth being shrunk while it is unpacked; smaller ones are unpacked soon, and are those that a cache keeps. */
function isLarge(width: number, height: number): boolean {
  return width * height >= 512 * 512;
}

/** Where a row of a batch goes. */
interface Place {
  readonly epoch: number;
  readonly memory: KernelMemory;
  readonly arrays: BatchArrays;
  readonly row: number;
  readonly replaced: string[];
}

export function shapeOf({ views, labelled, imageSize, contextLength, maxRows }: BatchOptions): BatchShape {
  return { views, hasLabels: labelled !== undefined, imageSize, contextLength, rows: maxRows };
}
