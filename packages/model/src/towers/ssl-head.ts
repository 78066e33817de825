// The SSL projection MLP (reference 1.4): three linear layers, batch norm over all ranks and ReLU between them.
import { batchNormTrain, linear, tf } from '@slip/engine';
import type { Parameters } from '../parameters.js';

const EPS = 1e-5;

export interface SslHeadResult {
  /** [B, embDim] */
  readonly embed: tf.Tensor;
  /** Global batch statistics by batch norm, for the running ones: [mlpDim] each, the variance biased. */
  readonly statistics: Readonly<Record<'bn1' | 'bn2', { mean: tf.Tensor; variance: tf.Tensor }>>;
}

/** @param x [B, D] tower features of one view: statistics are per view. @param params the whole model */
export function sslHead(x: tf.Tensor, params: Parameters): SslHeadResult {
  const head = params.in('image_mlp');
  const first = normed(linear(x, head.get('layer1.weight'), head.get('layer1.bias')), head.in('bn1'));
  const second = normed(linear(first.activated, head.get('layer2.weight'), head.get('layer2.bias')), head.in('bn2'));
  const embed = linear(second.activated, head.get('layer3.weight'), head.get('layer3.bias'));
  return { embed, statistics: { bn1: first.statistics, bn2: second.statistics } };
}

function normed(x: tf.Tensor, bn: Parameters) {
  const { y, mean, varianceBiased } = batchNormTrain(x, bn.get('weight'), bn.get('bias'), EPS);
  return { activated: tf.relu(y), statistics: { mean, variance: varianceBiased } };
}
