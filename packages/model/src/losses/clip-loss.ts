// The CLIP loss over all ranks (reference 3.1), with both ways of gathering.
import { allGather, l2Normalize, softmaxCrossEntropy, tf, topOneAccuracy } from '@slip/engine';

/**
 * How keys of other ranks enter: `full` differentiates through them (the true gradient of the global loss), `query-only`
 * holds all gathered rows constant, the own ones included, as the original does with more than one rank.
 */
export type Gather = 'full' | 'query-only';

export interface ContrastiveLoss {
  /** Scalar: mean over the local rows. */
  readonly loss: tf.Tensor;
  /** Scalar: percent of local rows whose positive scores highest. */
  readonly accuracy: tf.Tensor;
}

/** Where this rank's rows lie in the global micro-batch: ranks hold one block after another. */
export interface RowPlacement {
  readonly rank: number;
  /** Rows of each rank, at least 1. */
  readonly rows: readonly number[];
}

/**
 * @param imageEmbed [B, E], not normalised, as is `textEmbed`
 * @param logitScale scalar, already exponentiated
 */
export function clipLoss(
  imageEmbed: tf.Tensor,
  textEmbed: tf.Tensor,
  logitScale: tf.Tensor,
  placement: RowPlacement,
  gather: Gather,
): ContrastiveLoss {
  const image = l2Normalize(imageEmbed);
  const text = l2Normalize(textEmbed);
  const gradient = gather === 'full' ? 'full' : 'none';
  const allImages = allGather(image, { gradient });
  const allTexts = allGather(text, { gradient });
  const labels = positives(placement);
  const perImage = tf.mul(tf.matMul(image, allTexts, false, true), logitScale);
  const perText = tf.mul(tf.matMul(text, allImages, false, true), logitScale);
  const loss = tf.mul(tf.add(softmaxCrossEntropy(perImage, labels), softmaxCrossEntropy(perText, labels)), 0.5);
  return { loss, accuracy: topOneAccuracy(perImage, labels) };
}

/** Global index of each local row. */
export function positives({ rank, rows }: RowPlacement): Int32Array {
  const first = totalRows({ rows: rows.slice(0, rank) });
  return Int32Array.from({ length: rows[rank] }, (_, k) => first + k);
}

export function totalRows({ rows }: Pick<RowPlacement, 'rows'>): number {
  return rows.reduce((sum, count) => sum + count, 0);
}
