// Labelled images for evaluation: each rank its own share, every image once, nothing padded.
import type { LabelledDataset } from '../datasets/labelled-dataset.js';
import { decodeImage } from '../images/decode-image.js';
import type { PictureSource } from '../images/pixel-source.js';
import { type LabelledView, labelledEvalView } from '../transforms/labelled-view.js';
import { evalView } from '../transforms/views.js';

export interface EvalLoaderOptions {
  readonly dataset: LabelledDataset;
  readonly imageSize: number;
  readonly batchSize: number;
  readonly rank: number;
  readonly worldSize: number;
  /** Of linear probing and fine-tuning; that of zero-shot classification without it. */
  readonly view?: LabelledView;
  /**
   * Ranks share whole batches: a picture then is in the same batch, and so has the same bits of features, on any number of ranks.
   * Without it the shares differ by one picture at most.
   */
  readonly wholeBatches?: boolean;
}

export interface EvalItem {
  /** Path of the picture, or where in a file it is. */
  readonly file: string;
  readonly label: number;
}

export interface EvalBatch {
  readonly items: readonly EvalItem[];
  /** [items, 3, S, S], normalised; the last batch may be smaller. */
  readonly images: Float32Array;
}

/** Positions in the set that are this rank's: from the first up to and without the second. */
export function evalShare(options: Omit<EvalLoaderOptions, 'imageSize' | 'view'>): [first: number, end: number] {
  const { dataset, batchSize, rank, worldSize, wholeBatches = false } = options;
  const unit = wholeBatches ? batchSize : 1;
  const boundary = (r: number) =>
    Math.min(dataset.length, unit * Math.floor((Math.ceil(dataset.length / unit) * r) / worldSize));
  return [boundary(rank), boundary(rank + 1)];
}

/** The next batch is decoded while the caller works on this one. @throws SlipError `data` naming an unreadable file */
export async function* createEvalLoader(options: EvalLoaderOptions): AsyncGenerator<EvalBatch> {
  const { batchSize } = options;
  const [first, end] = evalShare(options);
  let coming = makeBatch(options, first, Math.min(end, first + batchSize));
  for (let start = first; start < end; start += batchSize) {
    const batch = await coming;
    const next = Math.min(end, start + batchSize);
    coming = makeBatch(options, next, Math.min(end, next + batchSize));
    // It may never be asked for; an error belongs to the turn that meets it.
    coming.catch(() => undefined);
    yield batch;
  }
}

async function makeBatch(
  { dataset, imageSize, view }: EvalLoaderOptions,
  begin: number,
  end: number,
): Promise<EvalBatch> {
  const images = new Float32Array((end - begin) * 3 * imageSize ** 2);
  const samples = Array.from({ length: end - begin }, (_, row) => dataset.describe(begin + row));
  await Promise.all(
    samples.map(async ({ image: source }: { image: PictureSource }, row) => {
      const target = { size: imageSize, out: images, offset: row * 3 * imageSize ** 2 };
      const image = await decodeImage(source);
      if (view === undefined) evalView(image, target);
      else labelledEvalView(image, target, view);
    }),
  );
  return { items: samples.map(({ image, label }) => ({ file: image.name, label })), images };
}
