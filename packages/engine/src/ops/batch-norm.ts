// Training-mode batch normalisation over the global batch of all ranks; not the running statistics or inference.
import { gatherRows, rowsOfRanks, sumOverRanks } from '../collectives.js';
import { tf } from '../tfjs.js';
import { withGradient, withoutGradient } from './custom-gradient.js';

export interface BatchNormResult {
  /** The shape of x, differentiable in x, gamma and beta. */
  readonly y: tf.Tensor;
  /** [C] mean of the global batch, a constant. */
  readonly mean: tf.Tensor;
  /** [C] biased variance of the global batch, a constant; times N / (N - 1) for running statistics. */
  readonly varianceBiased: tf.Tensor;
  /** N: values of a channel in the global batch. */
  readonly count: number;
}

/**
 * `(x - mean) / sqrt(variance + eps) * gamma + beta` per channel, with the statistics of the rows of all ranks. The gradient
 * of `x` is that of the sum of all ranks' losses; those of `gamma` and `beta` are this rank's part.
 *
 * @param x [B, C] or [B, C, H, W] float32; all but B the same on every rank, B as the topology has it
 * @param gamma [C]
 * @param beta [C]
 */
export function batchNormTrain(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, eps: number): BatchNormResult {
  const [localBatch, width, ...places] = x.shape as [number, number, ...number[]];
  const counts = rowsOfRanks(localBatch).map((rows) => places.reduce((count, side) => count * side, rows));
  const count = counts.reduce((sum, own) => sum + own, 0);
  const axes = [0, ...places.map((_, i) => i + 2)];
  const sumOf = (value: tf.Tensor) => tf.sum(value, axes);
  // One value a channel, against [B, C] or [B, C, H, W].
  const spread = (value: tf.Tensor) => (places.length === 0 ? value : tf.reshape(value, [1, width, 1, 1]));
  const statistics = withoutGradient(() => globalStatistics(x, axes, counts));
  const mean = withoutGradient(() => tf.reshape(tf.slice(statistics, [0, 0], [1, width]), [width]));
  const varianceBiased = withoutGradient(() =>
    tf.reshape(tf.div(tf.slice(statistics, [1, 0], [1, width]), count), [width]),
  );
  const y = withGradient<[tf.Tensor, tf.Tensor, tf.Tensor]>(
    [x, gamma, beta],
    () => {
      const inverse = tf.rsqrt(tf.add(varianceBiased, eps));
      const normalized = tf.mul(tf.sub(x, spread(mean)), spread(inverse));
      return { value: tf.add(tf.mul(normalized, spread(gamma)), spread(beta)), saved: [normalized, gamma, inverse] };
    },
    (dy, [normalized, gamma, inverse]) => {
      const dGamma = sumOf(tf.mul(dy, normalized));
      const dBeta = sumOf(dy);
      const sums = tf.div(sumOverRanks(tf.stack([dBeta, dGamma])), count);
      const shift = tf.slice(sums, [0, 0], [1, width]);
      const slope = tf.slice(sums, [1, 0], [1, width]);
      const centered = tf.sub(tf.sub(dy, spread(shift)), tf.mul(normalized, spread(slope)));
      return [tf.mul(centered, spread(tf.mul(gamma, inverse))), dGamma, dBeta];
    },
  );
  return { y, mean, varianceBiased, count };
}

/**
 * [2, C]: mean and sum of squared deviations of the values of all ranks. Ranks send (mean, M2), never raw sums of squares,
 * which would cancel; every rank combines them in rank order, weighted by values, so all get the same bits.
 */
function globalStatistics(x: tf.Tensor, axes: number[], counts: readonly number[]): tf.Tensor {
  const width = x.shape[1]!;
  const worldSize = counts.length;
  const mean = tf.mean(x, axes, true);
  const deviations = tf.sum(tf.square(tf.sub(x, mean)), axes, true);
  const local = tf.reshape(tf.concat([mean, deviations], 1), [1, 2 * width]);
  if (worldSize === 1) return tf.reshape(local, [2, width]);
  const ranks = gatherRows(local, new Array<number>(worldSize).fill(1));
  const weights = tf.tensor(Float32Array.from(counts), [worldSize, 1]);
  const means = tf.slice(ranks, [0, 0], [worldSize, width]);
  const count = counts.reduce((sum, own) => sum + own, 0);
  const globalMean = tf.div(tf.sum(tf.mul(means, weights), 0, true), count);
  const between = tf.sum(tf.mul(tf.square(tf.sub(means, globalMean)), weights), 0, true);
  const within = tf.sum(tf.slice(ranks, [0, width], [worldSize, width]), 0, true);
  return tf.concat([globalMean, tf.add(within, between)], 0);
}
