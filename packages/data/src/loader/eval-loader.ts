// Labelled images for evaluation: each rank its own share, every image once, nothing padded.
import type { LabelledImage } from '../datasets/image-folder.js';
import { decodeImage } from '../images/decode-image.js';
import { evalView } from '../transforms/views.js';

export interface EvalLoaderOptions {
  readonly items: readonly LabelledImage[];
  readonly imageSize: number;
  readonly batchSize: number;
  readonly rank: number;
  readonly worldSize: number;
}

export interface EvalBatch {
  readonly items: readonly LabelledImage[];
  /** [items, 3, S, S], normalised; the last batch may be smaller. */
  readonly images: Float32Array;
}

/** @throws SlipError `data` naming an unreadable file */
export async function* createEvalLoader(options: EvalLoaderOptions): AsyncGenerator<EvalBatch> {
  const { items, imageSize, batchSize, rank, worldSize } = options;
  const share = items.slice(boundary(rank), boundary(rank + 1));
  for (let start = 0; start < share.length; start += batchSize) {
    const part = share.slice(start, start + batchSize);
    const images = new Float32Array(part.length * 3 * imageSize ** 2);
    await Promise.all(
      part.map(async ({ file }, row) => {
        evalView(await decodeImage(file), { size: imageSize, out: images, offset: row * 3 * imageSize ** 2 });
      }),
    );
    yield { items: part, images };
  }

  function boundary(r: number): number {
    return Math.floor((items.length * r) / worldSize);
  }
}
