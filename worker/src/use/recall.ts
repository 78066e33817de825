// Recall of image-text retrieval: how often the right one is among the nearest K. Counts of a share of the pictures, so that shares add
// up to the same figures on any number of ranks. Pure.
import type { FloatMatrix } from '@slip/data';
import { dot } from '../encode/cosines.js';

export const RECALL_AT = [1, 5, 10] as const;

export interface RecallCounts {
  /** Of each picture of the share: captions of others that are nearer than its own nearest one. */
  readonly nearerCaptions: Int32Array;
  /** Of each caption: pictures of the share that are nearer than its own. */
  readonly nearerImages: Float32Array;
}

/**
 * Equal scores are won by the lower index.
 * @param images unit rows, all of them
 * @param captions unit rows; those of a picture are neighbours
 * @param imageOf the picture of each caption
 * @param share pictures from the first up to and without the second
 */
export function countNearer(
  images: FloatMatrix,
  captions: FloatMatrix,
  imageOf: readonly number[],
  [first, end]: readonly [number, number],
): RecallCounts {
  const { width } = images;
  const vectorOf = (image: number) => images.values.subarray(image * width, (image + 1) * width);
  const own = imageOf.map((image, caption) => dot(vectorOf(image), captions.values, caption * width));
  const nearerCaptions = new Int32Array(end - first);
  const nearerImages = new Float32Array(captions.rows);
  const scores = new Float64Array(captions.rows);
  for (let image = first; image < end; image++) {
    const vector = vectorOf(image);
    let best = -1;
    for (let caption = 0; caption < captions.rows; caption++) {
      const score = dot(vector, captions.values, caption * width);
      scores[caption] = score;
      if (imageOf[caption] === image && (best < 0 || score > scores[best])) best = caption;
      const beats = score > own[caption] || (score === own[caption] && image < imageOf[caption]);
      if (beats && imageOf[caption] !== image) nearerImages[caption] += 1;
    }
    for (let caption = 0; caption < captions.rows; caption++) {
      const beats = scores[caption] > scores[best] || (scores[caption] === scores[best] && caption < best);
      if (beats) nearerCaptions[image - first] += 1;
    }
  }
  return { nearerCaptions, nearerImages };
}

/** Percent of those with fewer than K others before them, for each K. */
export function recallOf(nearer: ArrayLike<number>): Record<`R@${number}`, number> {
  const counts = Array.from(nearer);
  return Object.fromEntries(
    RECALL_AT.map((k) => [`R@${k}`, (100 * counts.filter((before) => before < k).length) / counts.length]),
  );
}
