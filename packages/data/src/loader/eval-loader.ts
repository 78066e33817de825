// Labelled images for evaluation: each rank its own share, every image once, nothing padded.
import type { LabelledImage } from '../datasets/image-folder.js';
import { decodeImage } from '../images/decode-image.js';
import { type LabelledView, labelledEvalView } from '../transforms/labelled-view.js';
import { evalView } from '../transforms/views.js';

export interface EvalLoaderOptions {
  readonly items: readonly LabelledImage[];
  readonly imageSize: number;
  readonly batchSize: number;
  readonly rank: number;
  readonly worldSize: number;
  /** Of linear probing and fine-tuning; that of zero-shot classification without it. */
  readonly view?: LabelledView;
}

export interface EvalBatch {
  readonly items: readonly LabelledImage[];
  /** [items, 3, S, S], normalised; the last batch may be smaller. */
  readonly images: Float32Array;
}

/** The next batch is decoded while the caller works on this one. @throws SlipError `data` naming an unreadable file */
export async function* createEvalLoader(options: EvalLoaderOptions): AsyncGenerator<EvalBatch> {
  const { items, imageSize, batchSize, rank, worldSize, view } = options;
  const boundary = (r: number) => Math.floor((items.length * r) / worldSize);
  const share = items.slice(boundary(rank), boundary(rank + 1));
  let coming = makeBatch(share.slice(0, batchSize), imageSize, view);
  for (let start = 0; start < share.length; start += batchSize) {
    const batch = await coming;
    coming = makeBatch(share.slice(start + batchSize, start + 2 * batchSize), imageSize, view);
    // It may never be asked for; an error belongs to the turn that meets it.
    coming.catch(() => undefined);
    yield batch;
  }
}

async function makeBatch(
  items: readonly LabelledImage[],
  imageSize: number,
  view: LabelledView | undefined,
): Promise<EvalBatch> {
  const images = new Float32Array(items.length * 3 * imageSize ** 2);
  await Promise.all(
    items.map(async ({ file }, row) => {
      const target = { size: imageSize, out: images, offset: row * 3 * imageSize ** 2 };
      const image = await decodeImage(file);
      if (view === undefined) evalView(image, target);
      else labelledEvalView(image, target, view);
    }),
  );
  return { items, images };
}
