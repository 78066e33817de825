// OpenAI's modified ResNet (CLIP's RN50): a stem of three convolutions, strides as average pooling, and attention pooling at the end.
import { attention, batchNormTrain, blockBoundary, conv2d, linear, tf } from '@slip/engine';
import { bottlenecks } from '../bottlenecks.js';
import type { ResNetConfig } from '../models.js';
import type { Parameters } from '../parameters.js';
import { joinHeads, splitHeads } from './vision-transformer.js';

const EPS = 1e-5;

/** Where the statistics of a batch norm come from, by its module's name in the tower. */
export interface NormStatistics {
  /** Training: those of the batch, told to whoever keeps the running ones: [C] each, the variance unbiased. */
  readonly record?: (module: string, mean: tf.Tensor, unbiasedVariance: tf.Tensor) => void;
  /** Evaluation: the running ones, under `running_mean` and `running_var`. */
  readonly running?: Parameters;
}

/**
 * Legend: B rows, S image size, C channels.
 *
 * @param image [B, 3, S, S], normalised
 * @param params the `visual` module
 * @returns [B, embedDim]: the pooling has the projection in it
 */
export function modifiedResNet(
  image: tf.Tensor,
  params: Parameters,
  config: ResNetConfig,
  statistics: NormStatistics,
): tf.Tensor {
  const convolve = (x: tf.Tensor, conv: string, stride: number, padding: number) =>
    conv2d(x, params.get(`${conv}.weight`), { stride, padding });
  const normed = (x: tf.Tensor, bn: string) => batchNorm(x, params, bn, statistics);
  let x_BCSS = image;
  for (const [i, stride] of [2, 1, 1].entries()) {
    x_BCSS = tf.relu(normed(convolve(x_BCSS, `conv${i + 1}`, stride, 1), `bn${i + 1}`));
  }
  x_BCSS = averagePool(x_BCSS, 2);
  for (const { name, stride, hasShortcut } of bottlenecks(config)) {
    const input = blockBoundary(x_BCSS);
    const first = tf.relu(normed(convolve(input, `${name}.conv1`, 1, 0), `${name}.bn1`));
    const second = tf.relu(normed(convolve(first, `${name}.conv2`, 1, 1), `${name}.bn2`));
    const third = normed(convolve(averagePool(second, stride), `${name}.conv3`, 1, 0), `${name}.bn3`);
    const shortcut = hasShortcut
      ? normed(convolve(averagePool(input, stride), `${name}.downsample.0`, 1, 0), `${name}.downsample.1`)
      : input;
    x_BCSS = tf.relu(tf.add(third, shortcut));
  }
  return attentionPool(blockBoundary(x_BCSS), params.in('attnpool'), config);
}

function batchNorm(x: tf.Tensor, params: Parameters, module: string, { record, running }: NormStatistics): tf.Tensor {
  const bn = params.in(module);
  if (running !== undefined) {
    const channels = (value: tf.Tensor) => tf.reshape(value, [1, -1, 1, 1]);
    const of = running.in(module);
    const scale = tf.mul(bn.get('weight'), tf.rsqrt(tf.add(of.get('running_var'), EPS)));
    const shift = tf.sub(bn.get('bias'), tf.mul(of.get('running_mean'), scale));
    return tf.add(tf.mul(x, channels(scale)), channels(shift));
  }
  const { y, mean, varianceBiased, count } = batchNormTrain(x, bn.get('weight'), bn.get('bias'), EPS);
  record?.(module, mean, tf.mul(varianceBiased, count / Math.max(1, count - 1)));
  return y;
}

/** Kernel and stride are the same. */
function averagePool(x_BCSS: tf.Tensor, stride: number): tf.Tensor {
  if (stride === 1) return x_BCSS;
  const [batch, channels, size] = x_BCSS.shape as [number, number, number, number];
  const out = size / stride;
  return tf.mean(tf.reshape(x_BCSS, [batch, channels, out, stride, out, stride]), [3, 5]);
}

/** One attention whose query is the mean of all places; keys and values are all places and the mean. */
function attentionPool(x_BCSS: tf.Tensor, params: Parameters, { heads }: ResNetConfig): tf.Tensor {
  const [batch, channels, size] = x_BCSS.shape as [number, number, number, number];
  const places = tf.transpose(tf.reshape(x_BCSS, [batch, channels, size * size]), [0, 2, 1]);
  const all = tf.add(tf.concat([tf.mean(places, 1, true), places], 1), params.get('positional_embedding'));
  const project = (x: tf.Tensor, name: string) =>
    splitHeads(linear(x, params.get(`${name}.weight`), params.get(`${name}.bias`)), 1, heads)[0];
  const query = project(tf.slice(all, [0, 0, 0], [batch, 1, channels]), 'q_proj');
  const pooled = joinHeads(attention(query, project(all, 'k_proj'), project(all, 'v_proj'), { causal: false }));
  return linear(tf.reshape(pooled, [batch, channels]), params.get('c_proj.weight'), params.get('c_proj.bias'));
}
