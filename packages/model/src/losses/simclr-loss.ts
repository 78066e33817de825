// The SimCLR loss over all ranks (reference 3.2): each view against the other view and against its own other rows.
import { allGather, l2Normalize, softmaxCrossEntropy, tf, topOneAccuracy } from '@slip/engine';
import { type ContrastiveLoss, positives, type RowPlacement, totalRows } from './clip-loss.js';

/** Subtracted where a row meets itself, so that it counts as no negative. */
const SELF_PENALTY = 1e9;

/** @param aug1Embed [B, E], not normalised, as is `aug2Embed`. @param temperature above 0 */
export function simclrLoss(
  aug1Embed: tf.Tensor,
  aug2Embed: tf.Tensor,
  placement: RowPlacement,
  temperature: number,
): ContrastiveLoss {
  const a = l2Normalize(aug1Embed);
  const b = l2Normalize(aug2Embed);
  const allA = allGather(a, { gradient: 'full' });
  const allB = allGather(b, { gradient: 'full' });
  const labels = positives(placement);
  const self = selfMask(placement, labels);
  const similarity = (x: tf.Tensor, y: tf.Tensor) => tf.mul(tf.matMul(x, y, false, true), 1 / temperature);
  const fromA = tf.concat([similarity(a, allB), tf.sub(similarity(a, allA), self)], 1);
  const fromB = tf.concat([similarity(b, allA), tf.sub(similarity(b, allB), self)], 1);
  const loss = tf.mul(tf.add(softmaxCrossEntropy(fromA, labels), softmaxCrossEntropy(fromB, labels)), 0.5);
  return { loss, accuracy: topOneAccuracy(fromA, labels) };
}

function selfMask(placement: RowPlacement, labels: Int32Array): tf.Tensor {
  const numRows = totalRows(placement);
  const mask = new Float32Array(labels.length * numRows);
  for (const [row, column] of labels.entries()) mask[row * numRows + column] = SELF_PENALTY;
  return tf.tensor(mask, [labels.length, numRows]);
}
