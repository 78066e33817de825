// Training-mode batch normalisation over the global batch of all ranks; not the running statistics or inference.
import { gatherRows, rowsOfRanks, sumOverRanks } from '../collectives.js';
import { tf } from '../tfjs.js';
import { withGradient, withoutGradient } from './custom-gradient.js';

export interface BatchNormResult {
  /** [B, C], differentiable in x, gamma and beta. */
  readonly y: tf.Tensor;
  /** [C] mean of the global batch, a constant. */
  readonly mean: tf.Tensor;
  /** [C] biased variance of the global batch, a constant; times N / (N - 1) for running statistics. */
  readonly varianceBiased: tf.Tensor;
}

/**
 * `(x - mean) / sqrt(variance + eps) * gamma + beta` per column, with the statistics of the rows of all ranks. The gradient
 * of `x` is that of the sum of all ranks' losses; those of `gamma` and `beta` are this rank's part.
 *
 * @param x [B, C] float32; C the same on every rank, B as the topology has it
 * @param gamma [C]
 * @param beta [C]
 */
export function batchNormTrain(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, eps: number): BatchNormResult {
  const [localBatch, width] = x.shape as [number, number];
  const rows = rowsOfRanks(localBatch);
  const globalBatch = rows.reduce((sum, count) => sum + count, 0);
  const statistics = withoutGradient(() => globalStatistics(x, rows));
  const mean = withoutGradient(() => tf.reshape(tf.slice(statistics, [0, 0], [1, width]), [width]));
  const varianceBiased = withoutGradient(() =>
    tf.reshape(tf.div(tf.slice(statistics, [1, 0], [1, width]), globalBatch), [width]),
  );
  const y = withGradient<[tf.Tensor, tf.Tensor, tf.Tensor]>(
    [x, gamma, beta],
    () => {
      const inverse = tf.rsqrt(tf.add(varianceBiased, eps));
      const normalized = tf.mul(tf.sub(x, mean), inverse);
      return { value: tf.add(tf.mul(normalized, gamma), beta), saved: [normalized, gamma, inverse] };
    },
    (dy, [normalized, gamma, inverse]) => {
      const dGamma = tf.sum(tf.mul(dy, normalized), 0);
      const dBeta = tf.sum(dy, 0);
      const sums = tf.div(sumOverRanks(tf.stack([dBeta, dGamma])), globalBatch);
      const shift = tf.slice(sums, [0, 0], [1, width]);
      const slope = tf.slice(sums, [1, 0], [1, width]);
      const centered = tf.sub(tf.sub(dy, shift), tf.mul(normalized, slope));
      return [tf.mul(centered, tf.mul(gamma, inverse)), dGamma, dBeta];
    },
  );
  return { y, mean, varianceBiased };
}

/**
 * [2, C]: mean and sum of squared deviations of the rows of all ranks. Ranks send (mean, M2), never raw sums of squares,
 * which would cancel; every rank combines them in rank order, weighted by rows, so all get the same bits.
 */
function globalStatistics(x: tf.Tensor, rows: readonly number[]): tf.Tensor {
  const [, width] = x.shape as [number, number];
  const worldSize = rows.length;
  const mean = tf.mean(x, 0, true);
  const deviations = tf.sum(tf.square(tf.sub(x, mean)), 0, true);
  const local = tf.concat([mean, deviations], 1);
  if (worldSize === 1) return tf.reshape(local, [2, width]);
  const ranks = gatherRows(local, new Array<number>(worldSize).fill(1));
  const counts = tf.tensor(Float32Array.from(rows), [worldSize, 1]);
  const means = tf.slice(ranks, [0, 0], [worldSize, width]);
  const globalBatch = rows.reduce((sum, count) => sum + count, 0);
  const globalMean = tf.div(tf.sum(tf.mul(means, counts), 0, true), globalBatch);
  const between = tf.sum(tf.mul(tf.square(tf.sub(means, globalMean)), counts), 0, true);
  const within = tf.sum(tf.slice(ranks, [0, width], [worldSize, width]), 0, true);
  return tf.concat([globalMean, tf.add(within, between)], 0);
}
